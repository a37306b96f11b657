"""The backlog is counted seldom, quotas are told in standard headers, and metrics name routes by template."""

from api.limits import Backlog, quota_headers
from api.metrics import Metrics
from leaktrace.queue import QueueUnavailable
from leaktrace.records.usage import Quota
from tests.unit.api.asking import ask, offline_app


def test_backlog_is_counted_once() -> None:
    counted: list[int] = []
    backlog = Backlog(lambda: counted.append(1) or len(counted), good_for_seconds=60)
    assert [backlog.images() for _ in range(3)] == [1, 1, 1]


def test_old_backlog_is_counted_again() -> None:
    counted: list[int] = []
    backlog = Backlog(lambda: counted.append(1) or len(counted), good_for_seconds=-1)
    assert [backlog.images() for _ in range(3)] == [1, 2, 3]


def test_quota_is_told_in_headers() -> None:
    headers = quota_headers(Quota(limit=10, used=4, resets_in_seconds=60))
    assert headers == {"RateLimit-Policy": '"images";q=10;w=86400', "RateLimit": '"images";r=6;t=60'}


def test_lowered_quota_is_not_negative() -> None:
    assert Quota(limit=3, used=4, resets_in_seconds=60).remaining == 0


def test_metrics_name_the_template() -> None:
    app = offline_app()
    ask(app, "GET", "/v1/batches/019ab1f0-5c3e-7a10-8d53-2f6b8c1e9a40")
    text = ask(app, "GET", "/metrics").text
    assert 'route="/v1/batches/{batch_id}",status="401"} 1.0' in text


def test_unreadable_gauge_is_left_out() -> None:
    def away() -> float:
        raise QueueUnavailable("away")

    metrics = Metrics()
    metrics.watch({"here": ("h", lambda: 3.0), "gone": ("g", away)})
    text = metrics.exposition().decode()
    assert ("here 3.0" in text, "\ngone " in text) == (True, False)
