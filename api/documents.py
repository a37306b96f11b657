"""How responses are described in OpenAPI: the problems that each route may answer, by status.

Every route names the statuses that it can give, and the tests hold it to them.
"""

from http import HTTPStatus
from typing import Any

from api.examples import EXAMPLE_ID
from api.result_formats import MEDIA_TYPES
from api.schemas import Problem

EXAMPLES: dict[int, tuple[str, str]] = {
    400: ("invalid_cursor", "the cursor does not belong to this listing"),
    401: ("unauthenticated", "the API key is not valid: mistyped, expired or revoked"),
    403: ("scope_missing", "this needs a key with the scope batches:write"),
    404: ("batch_not_found", f"there is no batch {EXAMPLE_ID}"),
    406: ("not_acceptable", "offered are JSON, NDJSON, CSV and Parquet"),
    409: ("wrong_batch_state", "the batch is queued and cannot be given more images"),
    413: ("body_too_large", "the body is larger than this route takes"),
    415: ("unsupported_media_type", "send multipart/form-data"),
    422: ("invalid_request", "#/name: String should have at most 200 characters"),
    429: ("quota_exceeded", "the daily quota of images is used up"),
    500: ("internal_error", "something failed on our side; quote the request_id"),
    503: ("database_unavailable", "the database did not answer"),
}


BODY_EXAMPLES = {
    "JSON": ("malformed_body", "the body cannot be read as JSON in UTF-8"),
    "multipart": (
        "malformed_multipart",
        "the body ends before its closing boundary; send what is missing again",
    ),
}
PROBLEM_HEADERS = {429: ("Retry-After", "RateLimit", "RateLimit-Policy"), 503: ("Retry-After",)}
HEADERS: dict[str, dict[str, Any]] = {
    name: {"description": description, "required": True, "schema": {"type": kind}}
    for name, description, kind in (
        ("Location", "The path of what was made or changed.", "string"),
        ("Retry-After", "Seconds after which asking again is worth it.", "integer"),
        ("ETag", "Changes when anything about the batch does; for If-None-Match.", "string"),
        ("RateLimit", "Images left today and seconds until the quota is reset.", "string"),
        ("RateLimit-Policy", "The daily quota of images.", "string"),
    )
}


def exports(header: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that also answers NDJSON, Parquet, and CSV, which begins with this header line."""
    text = {"type": "string"}
    return {
        200: {
            "content": {
                MEDIA_TYPES["ndjson"]: {"schema": text, "example": '{"type": "end", "count": 0}\n'},
                MEDIA_TYPES["csv"]: {"schema": text, "example": header + "\r\n"},
                MEDIA_TYPES["parquet"]: {
                    "schema": {**text, "format": "binary"},
                    "example": "<the bytes of a Parquet file>",
                },
            }
        }
    }


def problems(*statuses: int, reads: str | None = None) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer these problems, beside those that any route with a key may.

    `reads` says what the route's body is, since 400 then means that this could not be read.
    """
    described: dict[int | str, dict[str, Any]] = {
        status: _describe(status, EXAMPLES[status]) for status in sorted({401, 403, 503, *statuses})
    }
    if reads is not None:
        described[400] = _describe(400, BODY_EXAMPLES[reads])
    return described


def jpeg() -> dict[int | str, dict[str, Any]]:
    """The `responses` entry of a success that is a small picture."""
    example = "<the bytes of a JPEG>"
    schema = {"type": "string", "format": "binary"}
    return {200: {"content": {"image/jpeg": {"schema": schema, "example": example}}}}


def _describe(status: int, shown: tuple[str, str]) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    code, detail = shown
    example = {
        "type": f"urn:leaktrace:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": "0f8a6f3a9d6c4c1e9a2b7d5e4f3c2b1a",
        "errors": [],
    }
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        "description": title,
        "headers": {name: HEADERS[name] for name in PROBLEM_HEADERS.get(status, ())},
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    }


def with_headers(status: int, *names: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` entry of a success that always has these headers."""
    return {status: {"headers": {name: HEADERS[name] for name in names}}}


SERVER_ERROR = _describe(500, EXAMPLES[500])
