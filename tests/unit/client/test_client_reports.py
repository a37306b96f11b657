"""A case report that breaks off never passes for a whole one."""

import httpx
import pytest

from leaktrace.client import Client, ReportTruncated

WHOLE = b"<!doctype html><html><body></body></html>\n"


def client_of(body: bytes) -> Client:
    """A client of a service that answers every request with this page."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body, request=request))
    return Client("http://127.0.0.1:1", "lk_live_a_b", http_transport=transport)


def test_whole_report_comes_through() -> None:
    with client_of(WHOLE) as client:
        assert b"".join(client.image_report("an-id")) == WHOLE


@pytest.mark.parametrize("body", [WHOLE[:-8], b""])
def test_broken_report_is_said(body: bytes) -> None:
    with client_of(body) as client, pytest.raises(ReportTruncated, match="ask for it again"):
        list(client.batch_report("an-id", pictures=False))
