"""Case reports as a stream of pieces. A report that breaks off must not pass for a whole one."""

from collections.abc import Iterator, Mapping

import httpx

from leaktrace.client.errors import ReportTruncated
from leaktrace.client.transport import Transport

REPORT_END = b"</html>\n"


def report_pieces(transport: Transport, path: str, params: Mapping[str, str]) -> Iterator[bytes]:
    """The report's bytes as they come; raises ReportTruncated unless the file's own end is among them."""
    end = b""
    with transport.stream(path, params=params, headers={"Accept": "text/html"}) as response:
        try:
            for piece in response.iter_bytes():
                end = (end + piece)[-len(REPORT_END) :]
                yield piece
        except httpx.TransportError as error:
            raise ReportTruncated from error
    if end != REPORT_END:
        raise ReportTruncated
