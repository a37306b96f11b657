"""Errors as the API's clients see them: RFC 9457 problems. `STATUS_OF` is the one table from class to HTTP status.

A problem's `code` is stable and is the error class's own. An error may bring headers of its own (`headers`), such as
Retry-After. What is not in the tree is a fault of ours: it is logged by the request's middleware and says nothing.
"""

import inspect
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.schemas import Problem, ProblemPart
from leaktrace.addresses import AddressRefused
from leaktrace.errors import Conflict, InvalidInput, LeaktraceError, NotFound, Unavailable
from leaktrace.logs import get_logger

PROBLEM_TYPE = "urn:leaktrace:problem:"
RETRY_UNAVAILABLE_SECONDS = 5
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

log = get_logger(__name__)


class Unauthenticated(LeaktraceError):
    """No usable key was presented."""

    code = "unauthenticated"
    headers: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="leaktrace"'}


class ScopeMissing(LeaktraceError):
    """The key is good, but not for this."""

    code = "scope_missing"


class ForgedRequest(LeaktraceError):
    """A signed-in browser sent this, but not from one of the console's own pages."""

    code = "forged_request"

    def __init__(self) -> None:
        super().__init__("this request does not come from the console's own page; load the page again")


class InvalidCursor(InvalidInput):
    """The cursor was not made by this service for this listing."""

    code = "invalid_cursor"


class MalformedMultipart(InvalidInput):
    """The body is not the multipart/form-data that its header announces."""

    code = "malformed_multipart"


class BodyTooLarge(InvalidInput):
    """The body has more bytes than the route takes."""

    code = "body_too_large"


class TooManyFiles(InvalidInput):
    """The request brings more files than one request may."""

    code = "too_many_files"


class UnsupportedMediaType(InvalidInput):
    """The body is of a kind that this route does not read."""

    code = "unsupported_media_type"


class NotAcceptable(InvalidInput):
    """None of the formats that the client accepts is offered here."""

    code = "not_acceptable"


class QuotaUsedUp(LeaktraceError):
    """The tenant has submitted all the images that it may today."""

    code = "quota_exceeded"

    def __init__(self, detail: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.headers = headers


class BacklogTooLong(Unavailable):
    """So many images wait that a new batch would wait too long."""

    code = "backlog_too_long"
    headers: Mapping[str, str] = {"Retry-After": "60"}


STATUS_OF: dict[type[Exception], int] = {
    Unauthenticated: 401,
    ScopeMissing: 403,
    ForgedRequest: 403,
    AddressRefused: 403,
    NotFound: 404,
    NotAcceptable: 406,
    Conflict: 409,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    InvalidCursor: 400,
    MalformedMultipart: 400,
    InvalidInput: 422,
    QuotaUsedUp: 429,
    Unavailable: 503,
    LeaktraceError: 500,
}
# What the framework itself refuses: its status -> our code and what to do.
FRAMEWORK_CODES = {
    400: ("malformed_body", "the body cannot be read as JSON in UTF-8"),
    404: ("route_not_found", "there is nothing at this path; /docs lists what there is"),
    405: ("method_not_allowed", "the path does not take this method; see the Allow header"),
    413: ("body_too_large", "the body is larger than this route takes"),
}


def status_of(error: LeaktraceError) -> int:
    """The status of the nearest class in the table."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)


def problem_response(
    status: int,
    *,
    code: str,
    detail: str,
    request_id: str,
    errors: Sequence[ProblemPart] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem as a response."""
    problem = Problem(
        type=PROBLEM_TYPE + code,
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        request_id=request_id,
        errors=list(errors),
    )
    return Response(problem.model_dump_json(), status, headers=headers, media_type="application/problem+json")


def add_error_handlers(app: FastAPI) -> None:
    """Answer every refusal as a problem: our own, failed validation, and the framework's."""
    app.add_exception_handler(LeaktraceError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_framework)


def request_id_of(request: Request) -> str:
    """The id that the middleware gave the request."""
    return str(request.scope.get("state", {}).get("request_id", "unknown"))


async def _answer_ours(request: Request, raised: Exception) -> Response:
    error = cast(LeaktraceError, raised)
    status = status_of(error)
    headers = dict(getattr(error, "headers", {}))
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_UNAVAILABLE_SECONDS))
    return problem_response(
        status, code=error.code, detail=told(error), request_id=request_id_of(request), headers=headers
    )


def told(error: LeaktraceError) -> str:
    """What a client is told. The text of a server that is away may name hosts and users: that is for the log."""
    if isinstance(error, Unavailable) and not isinstance(error, BacklogTooLong):
        log.warning("server_unavailable", code=error.code, error=str(error))
        return inspect.cleandoc(type(error).__doc__ or error.code)
    return str(error)


async def _answer_invalid(request: Request, raised: Exception) -> Response:
    error = cast(RequestValidationError, raised)
    parts = [_problem_part(each) for each in error.errors()]
    detail = "; ".join(f"{part.pointer}: {part.detail}" for part in parts[:3])
    return problem_response(
        422, code="invalid_request", detail=detail, request_id=request_id_of(request), errors=parts
    )


async def _answer_framework(request: Request, raised: Exception) -> Response:
    error = cast(HTTPException, raised)
    code, detail = FRAMEWORK_CODES.get(error.status_code, ("refused", str(error.detail)))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    return problem_response(
        error.status_code, code=code, detail=detail, request_id=request_id_of(request), headers=headers
    )


def _methods_at(request: Request) -> list[str]:
    """All methods that the path takes; the framework itself names only those of the first route at it."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL
            for route in request.app.routes
        )
    ]


def _problem_part(error: Mapping[str, Any]) -> ProblemPart:
    """A JSON pointer into the body (`#/files/0/sha256`), or the place and name of a parameter (`query:limit`)."""
    place, *path = (str(step) for step in error["loc"])
    pointer = "#/" + "/".join(path) if place == "body" else ":".join((place, *path))
    return ProblemPart(pointer=pointer, code=error["type"], detail=error["msg"])
