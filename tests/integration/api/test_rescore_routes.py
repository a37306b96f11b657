"""Asking for a re-score over HTTP, and reading what differs."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, select

from leaktrace.client import Client
from leaktrace.records.database import transaction
from leaktrace.records.models import Item
from leaktrace.records.rescoring import end_rescore, save_rescored
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model


@pytest.fixture
def attributed_batch(client: httpx.Client, engine: Engine) -> str:
    register_model(engine)
    return complete_batch(client, engine, {f"{seed}.jpg": picture(seed) for seed in (61, 62)})


def carry_out(engine: Engine, rescore_id: str, batch_id: str) -> None:
    """What a worker does, as if nothing had been in force since."""
    with transaction(engine) as session:
        items = session.scalars(select(Item).where(Item.batch_id == UUID(batch_id))).all()
        rows = [
            {
                "item_id": item.id,
                "before_id": item.attribution_id,
                "after_id": item.attribution_id if number else None,
                "error_code": None if number else "object_missing",
            }
            for number, item in enumerate(items)
        ]
        save_rescored(session, UUID(rescore_id), rows)
        end_rescore(session, UUID(rescore_id))


def test_report_is_read_by_its_tenant(
    base_url: str, client: httpx.Client, make_client: MakeClient, engine: Engine, attributed_batch: str
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as ours:
        asked = ours.rescoring.batch(attributed_batch, reason="a test")
        assert (asked.state, asked.items, asked.judged) == ("asked", 2, 0)
        body = {"of": "batch", "batch_id": attributed_batch, "reason": "a test"}
        again = client.post("/v1/rescores", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "rescore_in_progress")
        carry_out(engine, asked.id, attributed_batch)
        done = ours.rescoring.wait(asked.id)
        items = list(ours.rescoring.items(asked.id))
        everything = list(ours.rescoring.items(asked.id, changed=False))
    assert (done.state, done.judged, done.flips, len(everything)) == ("completed", 2, 1, 2)
    assert [(one.before, one.after, one.cause, one.error_code) for one in items] == [
        ("sd-2.1", "failed", "failed", "object_missing")
    ]
    stranger = make_client(tenant="rival")
    for path in (f"/v1/rescores/{asked.id}", f"/v1/rescores/{asked.id}/items"):
        assert stranger.get(path).json()["code"] == "rescore_not_found"
    assert client.get("/v1/rescores").json()["data"][0]["id"] == asked.id


def test_range_of_time_needs_its_zone(make_client: MakeClient) -> None:
    client = make_client(tenant="by time")
    body = {"of": "time", "since": "2026-01-01T00:00:00", "reason": "a test"}
    refused = client.post("/v1/rescores", json=body)
    taken = client.post("/v1/rescores", json={**body, "since": "0001-01-01T00:00:00+14:00"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert (taken.status_code, taken.json()["since"], taken.json()["items"]) == (
        202,
        "1970-01-01T00:00:00Z",
        0,
    )
