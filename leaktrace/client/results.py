"""Results and the audit trail as a stream: NDJSON whose last line counts the others, CSV, or Parquet.

A stream that breaks off must not pass for a short one: NDJSON is checked against its end line, the others by the
framing of HTTP. Knows nothing of pages.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from leaktrace.client.answers import Result, read_answer
from leaktrace.client.errors import ResultsTruncated, UnexpectedAnswer
from leaktrace.client.flows import Flow, Request, Sender, Series
from leaktrace.client.methods import given
from leaktrace.client.streams import stream

ExportFormat = Literal["ndjson", "csv", "parquet"]
CONTENT_TYPES: dict[ExportFormat, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
LONGEST_END_BYTES = 200


@dataclass
class Lines:
    """Cuts a stream into lines, each with its newline, and tells whether it was whole.

    With `counted` the last line has to be an end line with the right count.
    """

    counted: bool
    received: int = 0
    has_ended: bool = False
    _rest: bytes = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this piece; an empty one is the end of the stream.

        Raises:
            ResultsTruncated: the stream broke off, or its end line counts otherwise.
        """
        if not chunk:
            self._finish()
            return []
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [line + b"\n" for line in whole if self._take(line)]

    def broken(self) -> ResultsTruncated:
        """The error of a stream that broke off."""
        return ResultsTruncated(received=self.received)

    def _take(self, line: bytes) -> bool:
        if self.has_ended:
            return False
        end = end_count(line) if self.counted else None
        if end is None:
            self.received += 1
        elif end != self.received:
            raise ResultsTruncated(received=self.received, announced=end)
        else:
            self.has_ended = True
        return True

    def _finish(self) -> None:
        if self._rest or (self.counted and not self.has_ended):
            raise self.broken()
        self.has_ended = True


@dataclass
class Pieces:
    """Passes a stream on as it comes; the framing of HTTP tells when it is not whole."""

    has_ended: bool = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The piece; an empty one is the end of the stream."""
        self.has_ended = not chunk
        return [chunk] if chunk else []

    def broken(self) -> ResultsTruncated:
        """The error of a stream that broke off, wherever that was."""
        return ResultsTruncated(received=0)


def export_lines(sender: Sender, form: ExportFormat, *, path: str, **filters: Any) -> Series[bytes]:
    """The lines as the service writes them, pieces of Parquet; raises ResultsTruncated when they break off."""
    request = Request(
        method="GET",
        path=path,
        params=given(format=form, **filters),
        headers={"Accept": CONTENT_TYPES[form]},
        stream=True,
    )
    lines = Pieces() if form == "parquet" else Lines(counted=form == "ndjson")
    return stream(sender, request, lines)


def stream_results(sender: Sender, batch_id: str) -> Series[Result]:
    """The results in one NDJSON answer, without its end line."""
    exported = export_lines(sender, "ndjson", path=f"/v1/batches/{batch_id}/results")

    def parsed(flow: Flow[Iterable[bytes]]) -> Flow[Iterable[Result]]:
        lines = yield from flow
        return [read_answer(Result, _parsed(line)) for line in lines if end_count(line) is None]

    return Series((parsed(flow) for flow in exported.flows), streamed=exported.streamed)


def end_count(line: bytes) -> int | None:
    """The count on an end line, None for any other; only short lines are parsed to find out."""
    if len(line) > LONGEST_END_BYTES or b'"end"' not in line:
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
