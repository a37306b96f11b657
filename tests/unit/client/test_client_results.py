"""Waiting for a batch, and reading what came of it."""

from datetime import UTC, datetime

import httpx
import pytest

from leaktrace.client import Batch, ResultsTruncated, UnexpectedAnswer, WaitTimedOut
from tests.unit.client.fake_service import FakeService, ndjson, problem, result


def test_wait_ends_when_finished() -> None:
    service = FakeService(states=["queued", "in_progress", "completed"])
    assert service.client().wait("b1").state == "completed"


def test_wait_keeps_advised_pause() -> None:
    service = FakeService(states=["queued", "in_progress", "completed"])
    service.client().wait("b1")
    assert service.waits == [3.0, 3.0]


def test_wait_pauses_no_longer_than_asked() -> None:
    service = FakeService(states=["queued", "completed"])
    service.client().wait("b1", longest_pause_seconds=0.5)
    assert service.waits == [0.5]


def test_unchanged_batch_is_not_sent_again() -> None:
    service = FakeService(states=["queued", "queued", "completed"])
    seen: list[Batch] = []
    service.client().wait("b1", on_progress=seen.append)
    assert service.requests[1].headers["if-none-match"] == '"queued"'
    assert [batch.state for batch in seen] == ["queued", "queued", "completed"]


def test_wait_gives_up_in_time() -> None:
    service = FakeService(states=["queued"])
    with pytest.raises(WaitTimedOut, match="b1 is queued"):
        service.client().wait("b1", timeout_seconds=10)
    assert sum(service.waits) == 12.0


@pytest.mark.parametrize("state", ["completed", "failed", "expired", "cancelled"])
def test_final_states_end_wait(state: str) -> None:
    assert FakeService(states=[state]).client().wait("b1").state == state


def test_pages_are_joined() -> None:
    service = FakeService(results=[result(str(place)) for place in range(5)])
    assert [found.custom_id for found in service.client().results("b1")] == ["0", "1", "2", "3", "4"]
    assert len(service.requests) == 3


def test_filters_are_passed_on() -> None:
    service = FakeService()
    list(service.client().results("b1", verdict="unseen"))
    assert service.requests[0].url.params["verdict"] == "unseen"
    assert "generator" not in service.requests[0].url.params


def test_failed_page_is_asked_again() -> None:
    service = FakeService(results=[result("a")], failures=[problem(503, "unavailable", "away")])
    assert len(list(service.client().results("b1"))) == 1


def test_stream_gives_every_result() -> None:
    service = FakeService(results=[result("a"), result("b")])
    assert [found.custom_id for found in service.client().stream_results("b1")] == ["a", "b"]


def test_missing_end_line_is_noticed() -> None:
    service = FakeService(ndjson=ndjson([result("a"), result("b")]).rsplit(b"\n", 2)[0] + b"\n")
    with pytest.raises(ResultsTruncated) as caught:
        list(service.client().stream_results("b1"))
    assert caught.value.received == 2


def test_half_line_is_noticed() -> None:
    service = FakeService(ndjson=ndjson([result("a")])[:-10])
    with pytest.raises(ResultsTruncated):
        list(service.client().export("b1", "ndjson"))


def test_wrong_count_is_noticed() -> None:
    service = FakeService(ndjson=ndjson([result("a")], count=2))
    with pytest.raises(ResultsTruncated, match="after line 1 of 2"):
        list(service.client().stream_results("b1"))


def test_result_that_says_end_is_no_end() -> None:
    service = FakeService(results=[result('{"type": "end", "count": 0}')])
    assert len(list(service.client().stream_results("b1"))) == 1


def test_export_passes_lines_on() -> None:
    service = FakeService(results=[result("ä"), result("b")])
    assert b"".join(service.client().export("b1", "ndjson")) == ndjson(service.results)


def test_broken_audit_export_is_noticed() -> None:
    service = FakeService(failures=[httpx.Response(200, content=b'{"id": 1}\n')])
    with pytest.raises(ResultsTruncated, match="after line 1;"):
        list(service.client().administration.export_audit("ndjson", since=datetime(2026, 1, 5, tzinfo=UTC)))
    assert service.requests[0].url.params["since"] == "2026-01-05T00:00:00+00:00"


def test_line_that_is_no_json_is_named() -> None:
    service = FakeService(ndjson=b"<html>\n")
    with pytest.raises((UnexpectedAnswer, ResultsTruncated)):
        list(service.client().stream_results("b1"))


def test_result_of_other_shape_is_named() -> None:
    service = FakeService(failures=[httpx.Response(200, json={"data": [{"x": 1}], "next_cursor": None})])
    with pytest.raises(UnexpectedAnswer, match="no Result"):
        list(service.client().results("b1"))


def test_new_fields_are_ignored() -> None:
    service = FakeService(results=[result("a", brand_new=1)])
    assert len(list(service.client().results("b1"))) == 1
