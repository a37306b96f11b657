"""How requests are sent, tried again and refused."""

import json

import httpx
import pytest

from leaktrace.client import ApiProblem, Client, RetryRules, ServiceUnreachable, UnexpectedAnswer
from leaktrace.client.retrying import retry_after_seconds
from leaktrace.errors import InvalidInput
from tests.unit.client.fake_service import FakeService, problem


def test_key_travels_as_bearer() -> None:
    service = FakeService()
    service.client().create_batch("test")
    assert service.requests[0].headers["authorization"] == "Bearer lk_live_test"


def test_problem_document_is_carried() -> None:
    service = FakeService(failures=[problem(422, "invalid_request", "name is too long")])
    with pytest.raises(ApiProblem, match=r"name is too long \(request r1\)") as caught:
        service.client().create_batch("x")
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (422, "invalid_request", "r1")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_overload_is_retried(status: int) -> None:
    service = FakeService(failures=[httpx.Response(status), httpx.Response(status)])
    assert service.client().create_batch().id == "b1"
    assert len(service.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_refusals_are_not_retried(status: int) -> None:
    service = FakeService(failures=[httpx.Response(status)])
    with pytest.raises(ApiProblem):
        service.client().create_batch()
    assert len(service.requests) == 1


def test_retry_after_is_kept() -> None:
    service = FakeService(failures=[httpx.Response(429, headers={"Retry-After": "17"})])
    service.client().create_batch()
    assert service.waits == [17.0]


def test_conflict_in_flight_is_retried() -> None:
    service = FakeService(failures=[problem(409, "in_flight", "at work", **{"Retry-After": "1"})])
    assert service.client().create_batch().id == "b1"


def test_repeats_share_one_idempotency_key() -> None:
    service = FakeService(failures=[httpx.ReadError("cut")])
    service.client().create_batch()
    first, second = (request.headers["idempotency-key"] for request in service.requests)
    assert first == second


def test_batches_get_different_keys() -> None:
    service = FakeService()
    client = service.client()
    client.create_batch()
    client.create_batch()
    first, second = (request.headers["idempotency-key"] for request in service.requests)
    assert first != second


def test_broken_connection_is_retried() -> None:
    service = FakeService(failures=[httpx.ReadError("cut"), httpx.RemoteProtocolError("gone")])
    assert service.client().create_batch().id == "b1"


def test_silence_at_first_contact_ends_early() -> None:
    service = FakeService(failures=[httpx.ConnectError("refused")] * 100)
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        service.client().create_batch()
    assert sum(service.waits) < 10


def test_known_service_is_given_time() -> None:
    service = FakeService()
    client = service.client()
    client.create_batch()
    service.failures = [httpx.ConnectError("refused")] * 1000
    with pytest.raises(ServiceUnreachable):
        client.batch("b1")
    assert 100 < sum(service.waits) <= 120


def test_endless_overload_is_raised() -> None:
    service = FakeService(failures=[problem(503, "unavailable", "away")] * 100)
    with pytest.raises(ApiProblem, match="away"):
        service.client(rules=RetryRules(give_up_after_seconds=5)).create_batch()


def test_foreign_page_is_recognised() -> None:
    service = FakeService(failures=[httpx.Response(200, text="<html>")])
    with pytest.raises(UnexpectedAnswer, match="check the address"):
        service.client().create_batch()


def test_redirect_is_not_followed() -> None:
    service = FakeService(failures=[httpx.Response(302, headers={"Location": "http://elsewhere.test/"})])
    with pytest.raises(UnexpectedAnswer):
        service.client().create_batch()
    assert [request.url.host for request in service.requests] == ["service.test"]


def test_address_needs_a_scheme() -> None:
    with pytest.raises(InvalidInput, match="http://"):
        Client("localhost:8471", "key")


def test_closed_client_sends_nothing() -> None:
    service = FakeService()
    client = service.client()
    client.disconnect()
    with pytest.raises(ServiceUnreachable, match="closed"):
        client.create_batch()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("nonsense", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds


def test_waits_grow_within_bounds() -> None:
    rules = RetryRules(first_wait_seconds=1, longest_wait_seconds=8)
    for attempt, ceiling in [(1, 1), (2, 2), (3, 4), (4, 8), (9, 8)]:
        assert ceiling / 2 <= rules.backoff(attempt) <= ceiling


def test_dry_run_is_said() -> None:
    service = FakeService(failures=[httpx.Response(200, json={"count": 2, "executed": False})])
    assert service.client().retry("b1", dry_run=True).count == 2
    assert json.loads(service.requests[0].content) == {"dry_run": True}
