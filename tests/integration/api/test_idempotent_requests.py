"""Idempotency-Key: the work is done once, whatever happens to the answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine, func, select, update

from leaktrace.records.database import transaction
from leaktrace.records.idempotency import KeyedRequest, find_answer
from leaktrace.records.models import Batch, IdempotencyKey, Tenant
from tests.integration.api.service import MakeClient, create_batch


@pytest.fixture
def key() -> str:
    return uuid4().hex


def create(client: httpx.Client, key: str, **body: Any) -> httpx.Response:
    return client.post("/v1/batches", json=body, headers={"Idempotency-Key": key})


def count_batches(engine: Engine, name: str) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).where(Batch.name == name)) or 0


def test_same_request_is_replayed(client: httpx.Client, engine: Engine, key: str) -> None:
    first, again = (create(client, key, name=key) for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert (again.headers["Location"], again.headers["Idempotency-Replayed"]) == (
        first.headers["Location"],
        "true",
    )
    assert count_batches(engine, key) == 1


def test_other_payload_is_422(client: httpx.Client, key: str) -> None:
    create(client, key, name="a")
    answer = create(client, key, name="b")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_white_space_is_no_other_payload(client: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first = client.post("/v1/batches", content=b'{"name":"a","metadata":{}}', headers=headers)
    again = client.post("/v1/batches", content=b'{ "metadata": {},  "name": "a" }', headers=headers)
    assert first.json() == again.json()


def test_key_belongs_to_its_tenant(client: httpx.Client, make_client: MakeClient, key: str) -> None:
    first, other = create(client, key), create(make_client(tenant="stranger"), key)
    assert (other.status_code, other.json()["id"] != first.json()["id"]) == (201, True)


def test_key_belongs_to_its_route(client: httpx.Client, key: str) -> None:
    create(client, key)
    batch_id = create_batch(client)
    client.post(f"/v1/batches/{batch_id}/close")
    answer = client.post(f"/v1/batches/{batch_id}/retry", json={}, headers={"Idempotency-Key": key})
    assert answer.status_code == 200


def test_failure_is_not_kept(client: httpx.Client, key: str) -> None:
    batch_id = create_batch(client)
    headers = {"Idempotency-Key": key}
    assert client.post(f"/v1/batches/{batch_id}/retry", json={}, headers=headers).status_code == 409
    client.post(f"/v1/batches/{batch_id}/close")
    assert client.post(f"/v1/batches/{batch_id}/retry", json={}, headers=headers).status_code == 200


def test_expired_key_may_be_used_again(client: httpx.Client, engine: Engine, key: str) -> None:
    first = create(client, key, name="a")
    with transaction(engine) as session:
        session.execute(
            update(IdempotencyKey).where(IdempotencyKey.key == key).values(expires_at=datetime.now(UTC))
        )
    again = create(client, key, name="b")
    assert (again.status_code, again.json()["id"] != first.json()["id"]) == (201, True)


@pytest.fixture
def in_flight(client: httpx.Client, engine: Engine, key: str) -> Iterator[None]:
    """Another request with the key is being carried out."""
    create(client, uuid4().hex)
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
        find_answer(session, KeyedRequest(tenant_id, "POST /v1/batches", key, "0" * 64))
        yield


@pytest.mark.usefixtures("in_flight")
def test_request_in_flight_is_409(client: httpx.Client, key: str) -> None:
    answer = create(client, key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")


def test_race_does_the_work_once(client: httpx.Client, engine: Engine, key: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(client, key, name=key), range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert (len({a.json()["id"] for a in answers if a.status_code == 201}), count_batches(engine, key)) == (
        1,
        1,
    )


@pytest.mark.parametrize("bad", ["", "x" * 256, "two words"])
def test_bad_key_is_refused(client: httpx.Client, bad: str) -> None:
    answer = create(client, bad)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "header:Idempotency-Key")


def test_promises_are_replayed(client: httpx.Client, key: str) -> None:
    batch_id = create_batch(client)
    body = {"files": [{"custom_id": "a", "sha256": "0" * 64, "size_bytes": 1}]}
    url, headers = f"/v1/batches/{batch_id}/uploads", {"Idempotency-Key": key}
    first, again = (client.post(url, json=body, headers=headers) for _ in range(2))
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
