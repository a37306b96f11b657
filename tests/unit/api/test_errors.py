"""Every refusal is a problem with the right status, and faults of ours say nothing of their cause."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

import api.app  # noqa: F401 - brings every error class that the API can meet
from api.errors import STATUS_OF, status_of
from api.metrics import Metrics
from api.request_context import RequestContext
from leaktrace.errors import Conflict, LeaktraceError, Unavailable
from leaktrace.objects import ObjectMissing
from leaktrace.records.batches import BatchNotFound
from leaktrace.records.idempotency import IdempotencyKeyInFlight, IdempotencyKeyReused
from tests.unit.api.asking import ask, offline_app

ROOMS = (
    "api.",
    "leaktrace.addresses",
    "leaktrace.errors",
    "leaktrace.objects",
    "leaktrace.queue",
    "leaktrace.records",
)
PROBLEM_FIELDS = {"type", "title", "status", "code", "detail", "request_id", "errors"}


def all_errors(kind: type[LeaktraceError] = LeaktraceError) -> Iterator[type[LeaktraceError]]:
    """Those that the API can meet; other tests may have brought the client's and the worker's."""
    if kind.__module__.startswith(ROOMS):
        yield kind
    for child in kind.__subclasses__():
        yield from all_errors(child)


@pytest.mark.parametrize("kind", sorted(set(all_errors()), key=str), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code(kind: type[LeaktraceError]) -> None:
    assert kind.code == kind.code.lower()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BatchNotFound, 404),
        (IdempotencyKeyInFlight, 409),
        (IdempotencyKeyReused, 422),
        (ObjectMissing, 503),
        (Conflict, 409),
        (LeaktraceError, 500),
    ],
)
def test_nearest_class_decides_status(kind: type[LeaktraceError], status: int) -> None:
    assert status_of(kind.__new__(kind)) == status


def test_only_the_root_is_a_server_fault() -> None:
    faults = {kind for kind in set(all_errors()) if status_of(kind.__new__(kind)) == 500}
    assert faults == {LeaktraceError}


def test_unavailable_says_when_to_retry() -> None:
    answer = ask(offline_app(), "GET", "/v1/generators", headers={"Authorization": f"Bearer {key()}"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_problem_hides_the_server() -> None:
    answer = ask(offline_app(), "GET", "/v1/generators", headers={"Authorization": f"Bearer {key()}"})
    assert [word for word in ("secret-password", "nobody", "127.0.0.1") if word in answer.text] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route_not_found"),
        ("PATCH", "/v1/batches", 405, "method_not_allowed"),
        ("GET", "/v1/batches", 401, "unauthenticated"),
    ],
)
def test_framework_refusals_are_problems(method: str, path: str, status: int, code: str) -> None:
    answer = ask(offline_app(), method, path)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"], set(answer.json())) == (status, code, PROBLEM_FIELDS)


def test_405_names_all_methods() -> None:
    assert ask(offline_app(), "PUT", "/v1/batches").headers["Allow"] == "GET, POST"


def test_401_names_the_scheme() -> None:
    assert ask(offline_app(), "GET", "/v1/batches").headers["WWW-Authenticate"].startswith("Bearer")


def test_announced_large_body_is_refused() -> None:
    answer = ask(offline_app(max_request_body_bytes=10), "POST", "/v1/batches", json={"name": "x" * 20})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_unannounced_large_body_is_refused() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b'{"name": '

    headers = {"Content-Type": "application/json"}
    answer = ask(
        offline_app(max_request_body_bytes=10), "POST", "/v1/batches", content=chunks(), headers=headers
    )
    assert answer.status_code == 413


def test_sane_request_id_is_kept() -> None:
    answer = ask(offline_app(), "GET", "/nowhere", headers={"X-Request-Id": "my-id.1"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "my-id.1"


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", 'quote"'])
def test_odd_request_id_is_replaced(given: str) -> None:
    answer = ask(offline_app(), "GET", "/livez", headers={"X-Request-Id": given})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_unexpected_error_says_nothing() -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the cause")

    answer: httpx.Response = ask(RequestContext(broken, metrics=Metrics()), "GET", "/")
    assert (answer.status_code, "the cause" in answer.text) == (500, False)


def test_table_knows_the_kinds() -> None:
    assert STATUS_OF[Unavailable] == 503


def key() -> str:
    """A key of the right form, so that the database has to be asked."""
    return f"lk_live_{'0' * 16}_{'A' * 43}"
