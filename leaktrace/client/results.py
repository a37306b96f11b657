"""Results as a stream: NDJSON whose last line counts the others, or CSV.

A stream that breaks off must not pass for a short one: NDJSON is checked against its end line, CSV by the framing of
HTTP. Knows nothing of pages.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

import httpx

from leaktrace.client.errors import ResultsTruncated, UnexpectedAnswer
from leaktrace.client.polling import page_params
from leaktrace.client.transport import Transport

ExportFormat = Literal["ndjson", "csv"]
CONTENT_TYPES: dict[ExportFormat, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv"}


def export_lines(
    transport: Transport, form: ExportFormat, *, batch_id: str, fdr: float | None = None
) -> Iterator[bytes]:
    """The lines as the service writes them, each with its newline; raises ResultsTruncated when they break off."""
    path = f"/v1/batches/{batch_id}/results"
    headers = {"Accept": CONTENT_TYPES[form]}
    with transport.stream(path, params=page_params(format=form, fdr=fdr), headers=headers) as response:
        lines = _whole_lines(response)
        yield from (checked_lines(lines) if form == "ndjson" else lines)


def checked_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Pass NDJSON lines on; raises ResultsTruncated unless the last is an end line whose count is right."""
    received = 0
    for line in lines:
        end = _end_count(line)
        if end is None:
            received += 1
        elif end != received:
            raise ResultsTruncated(received=received, announced=end)
        yield line
        if end is not None:
            return
    raise ResultsTruncated(received=received)


def result_documents(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The results in checked NDJSON lines, without the end line."""
    for line in checked_lines(lines):
        if _end_count(line) is None:
            yield _parsed(line)


def _whole_lines(response: httpx.Response) -> Iterator[bytes]:
    """Lines with their newline; a last one without it was cut off."""
    received, rest = 0, b""
    try:
        for chunk in response.iter_bytes():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line + b"\n"
                received += 1
    except httpx.TransportError as error:
        raise ResultsTruncated(received=received) from error
    if rest:
        raise ResultsTruncated(received=received)


def _end_count(line: bytes) -> int | None:
    """The count on an end line, None for any other; only short lines are parsed to find out."""
    if len(line) > 200 or b'"end"' not in line:
        return None
    document = _parsed(line)
    return int(document.get("count", -1)) if document.get("type") == "end" else None


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise UnexpectedAnswer(
            "a line of the results is no JSON; check the address of the service"
        ) from error
    if not isinstance(document, dict):
        raise UnexpectedAnswer("a line of the results is no JSON object; check the address of the service")
    return document
