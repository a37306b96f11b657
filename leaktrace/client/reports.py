"""Case reports as a stream of pieces. A report that breaks off must not pass for a whole one.

A part of both clients; see `methods`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpx

from leaktrace.client.errors import ReportTruncated
from leaktrace.client.flows import Flow, NextChunk, Request, Series
from leaktrace.client.methods import Part, SenderT, iterated

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
        streamed, pieces = list[httpx.Response](), _Pieces()

        def open_stream() -> Flow[Iterable[bytes]]:
            streamed.append((yield from self._sender.exchange(request)))
            return ()

        def flows() -> Iterator[Flow[Iterable[bytes]]]:
            yield open_stream()
            while not pieces.has_ended:
                yield pieces.read_on(streamed[0])

        return Series(flows(), streamed=streamed)


@dataclass
class _Pieces:
    """Passes a report on and keeps its last bytes in mind."""

    end: bytes = b""
    has_ended: bool = False

    def read_on(self, response: httpx.Response) -> Flow[Iterable[bytes]]:
        try:
            piece: bytes = yield NextChunk(response)
        except httpx.TransportError as error:
            raise ReportTruncated from error
        self.end = (self.end + piece)[-len(REPORT_END) :]
        self.has_ended = not piece
        if self.has_ended and self.end != REPORT_END:
            raise ReportTruncated
        return [piece]
