"""Webhooks by HTTP: made with a secret, changed, limited, kept apart between tenants; deliveries seen and replayed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, select, update
from typer.testing import CliRunner

from leaktrace.cli import app
from leaktrace.records.database import transaction
from leaktrace.records.events import announce
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import AuditEvent, IdempotencyKey
from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint
from leaktrace.sealing import SecretSeal
from tests.integration.api.service import MakeClient

URL = "https://hooks.example.com/leaktrace"


def create(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def stored_secret(engine: Engine, webhook: dict[str, Any]) -> str:
    with transaction(engine) as session:
        return session.get_one(WebhookEndpoint, UUID(webhook["id"])).secret


def deliveries(client: httpx.Client, webhook: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/webhooks/{webhook['id']}/deliveries", params=query).json()[
        "data"
    ]
    return found


@pytest.fixture
def alone(make_client: MakeClient, request: pytest.FixtureRequest) -> httpx.Client:
    """A client of a tenant of this test's own, with the test's name."""
    return make_client(tenant=request.node.name)


def announce_to(engine: Engine, tenant: str) -> None:
    with transaction(engine) as session:
        announce(session, ensure_tenant(session, tenant), "batch.finished", {"state": "completed"})


def test_secret_is_shown_once(alone: httpx.Client) -> None:
    made = create(alone, events=["drift.alarm"])
    seen = alone.get(f"/v1/webhooks/{made['id']}").json()
    assert made["secret"].startswith("whsec_")
    assert seen == {name: value for name, value in made.items() if name != "secret"}


def test_secret_lies_sealed(alone: httpx.Client, engine: Engine) -> None:
    headers = {"Idempotency-Key": "twice"}
    first, again = (alone.post("/v1/webhooks", json={"url": URL}, headers=headers).json() for _ in range(2))
    with transaction(engine) as session:
        answers = [str(body) for body in session.scalars(select(IdempotencyKey.body))]
    assert again["secret"] == first["secret"]
    assert not any(first["secret"] in stored for stored in [stored_secret(engine, first), *answers])


def test_reseal_changes_the_key(
    alone: httpx.Client,
    engine: Engine,
    service_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, new = create(alone), "n" * 32
    for name, value in service_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LEAKTRACE_SECRET_KEYS", f"{new},{service_environment['LEAKTRACE_SECRET_KEYS']}")
    assert "sealed the secrets of" in CliRunner().invoke(app, ["webhooks", "reseal"]).output
    assert SecretSeal([new]).open(stored_secret(engine, made)) == made["secret"]


def test_rotation_keeps_the_old_secret_for_a_while(alone: httpx.Client) -> None:
    made = create(alone)
    rotated = alone.post(f"/v1/webhooks/{made['id']}/rotate", json={"keep_previous_hours": 2}).json()
    left = datetime.fromisoformat(rotated["previous_secret_until"]) - datetime.now(UTC)
    assert rotated["secret"] != made["secret"]
    assert timedelta(hours=1) < left <= timedelta(hours=2)


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/"]
)
def test_unsafe_address_is_refused(client: httpx.Client, url: str) -> None:
    answer = client.post("/v1/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (403, "address_refused")


def test_webhooks_are_limited(alone: httpx.Client) -> None:
    for _ in range(20):
        create(alone)
    answer = alone.post("/v1/webhooks", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


def test_other_tenants_webhook_is_unknown(alone: httpx.Client, client: httpx.Client) -> None:
    path = f"/v1/webhooks/{create(alone)['id']}"
    answers = [
        client.get(path),
        client.patch(path, json={"enabled": False}),
        client.delete(path),
        client.post(f"{path}/rotate", json={}),
        client.post(f"{path}/test"),
        client.post(f"{path}/replay", json={"since": "2026-01-01T00:00:00Z"}),
        client.get(f"{path}/deliveries"),
    ]
    assert {answer.status_code for answer in answers} == {404}


def test_reader_may_not_write(make_client: MakeClient) -> None:
    reader = make_client(tenant="reading", scopes=("webhooks:read",))
    assert (
        reader.get("/v1/webhooks").status_code,
        reader.post("/v1/webhooks", json={"url": URL}).status_code,
    ) == (*(200, 403),)


def test_test_event_waits_for_delivery(alone: httpx.Client) -> None:
    made = create(alone)
    answer = alone.post(f"/v1/webhooks/{made['id']}/test")
    assert (answer.status_code, answer.json()["event"]) == (202, "webhook.test")
    assert deliveries(alone, made, state="pending") == [answer.json()]


def test_disabled_webhook_is_sent_nothing(alone: httpx.Client, engine: Engine) -> None:
    made = create(alone)
    disabled = alone.patch(f"/v1/webhooks/{made['id']}", json={"enabled": False}).json()
    announce_to(engine, "test_disabled_webhook_is_sent_nothing")
    answer = alone.post(f"/v1/webhooks/{made['id']}/test")
    assert (disabled["enabled"], deliveries(alone, made), answer.json()["code"]) == (
        False,
        [],
        "webhook_disabled",
    )


def test_missed_events_are_replayed(alone: httpx.Client, engine: Engine) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    announce_to(engine, "test_missed_events_are_replayed")
    made = create(alone)
    again = [
        alone.post(f"/v1/webhooks/{made['id']}/replay", json={"since": since.isoformat()}).json()["count"]
        for _ in range(2)
    ]
    assert (again, [one["event"] for one in deliveries(alone, made)]) == ([1, 0], ["batch.finished"])


def test_delivered_event_is_replayed_alone(alone: httpx.Client, engine: Engine) -> None:
    made = create(alone)
    for _ in range(2):
        announce_to(engine, "test_delivered_event_is_replayed_alone")
    with transaction(engine) as session:
        session.execute(update(WebhookDelivery).values(state="delivered", attempts=1))
    newest, older = deliveries(alone, made)
    replayed = alone.post(f"/v1/webhooks/{made['id']}/deliveries/{newest['id']}/replay").json()
    assert (replayed["state"], replayed["attempts"], replayed["message_id"]) == (
        "pending",
        0,
        newest["message_id"],
    )
    assert deliveries(alone, made, state="delivered") == [older]


def test_deliveries_come_page_by_page(alone: httpx.Client, engine: Engine) -> None:
    made = create(alone)
    for _ in range(3):
        announce_to(engine, "test_deliveries_come_page_by_page")
    path, seen, cursor = f"/v1/webhooks/{made['id']}/deliveries", [], None
    while True:
        page = alone.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [one["id"] for one in deliveries(alone, made)]


def test_changes_are_audited_without_secrets(alone: httpx.Client, engine: Engine) -> None:
    made = create(alone)
    rotated = alone.post(f"/v1/webhooks/{made['id']}/rotate", json={}).json()
    alone.delete(f"/v1/webhooks/{made['id']}")
    with transaction(engine) as session:
        statement = select(AuditEvent).where(AuditEvent.subject == made["id"]).order_by(AuditEvent.id)
        events = list(session.scalars(statement))
    actions = ["webhook.created", "webhook.secret_rotated", "webhook.deleted"]
    assert [event.action for event in events] == actions
    told = str([event.details for event in events])
    assert made["secret"] not in told
    assert rotated["secret"] not in told


@pytest.mark.parametrize("since", ["2026-01-05", "2026-01-05T09:30:00", "1767605400", 1767605400, None])
def test_time_without_zone_is_refused(alone: httpx.Client, since: object) -> None:
    answer = alone.post(f"/v1/webhooks/{create(alone)['id']}/replay", json={"since": since})
    assert answer.status_code == 422
