"""Case reports as a stream of pieces. A report that breaks off must not pass for a whole one.

A part of both clients; see `methods`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from leaktrace.client.errors import ReportTruncated
from leaktrace.client.flows import Request, Series
from leaktrace.client.methods import Part, SenderT, iterated
from leaktrace.client.streams import stream

REPORT_END = b"</html>\n"


class Reports(Part[SenderT]):
    """Case reports: HTML files that hold under a hash chain."""

    @iterated
    def image_report(self, image_id: str) -> Series[bytes]:
        """The case report of one image: an HTML file, in pieces. Raises `ReportTruncated` when it breaks off."""
        return self._pieces(f"/v1/images/{image_id}/report", {})

    @iterated
    def batch_report(self, batch_id: str, *, pictures: bool = True, provenance: bool = True) -> Series[bytes]:
        """The case report of a batch in pieces, with small pictures and what each file says of its origin.

        Raises:
            ReportTruncated: it broke off; ask again.
        """
        wanted = {"pictures": str(pictures).lower(), "provenance": str(provenance).lower()}
        return self._pieces(f"/v1/batches/{batch_id}/report", wanted)

    def _pieces(self, path: str, params: Mapping[str, str]) -> Series[bytes]:
        request = Request(
            method="GET", path=path, params=params, headers={"Accept": "text/html"}, stream=True
        )
        return stream(self._sender, request, _Pieces())


@dataclass
class _Pieces:
    """Passes a report on and keeps its last bytes in mind."""

    end: bytes = b""
    has_ended: bool = False

    def feed(self, chunk: bytes) -> list[bytes]:
        self.end = (self.end + chunk)[-len(REPORT_END) :]
        self.has_ended = not chunk
        if self.has_ended and self.end != REPORT_END:
            raise self.broken()
        return [chunk]

    def broken(self) -> ReportTruncated:
        return ReportTruncated()
