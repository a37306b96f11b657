"""Events: written with what they tell of, for the tenant that it happened to, and addressed to who listens."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leaktrace.records.candidates import FoundGroup, save_groups
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, NewDensity, activate_density, store_density
from leaktrace.records.events import EVENT_TYPES, announce
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Batch, ModelVersion
from leaktrace.records.rollback import roll_back
from leaktrace.records.shards import finish_batch_if_done
from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent


def add_endpoint(session: Session, tenant_id: UUID, *events: str, disabled: bool = False) -> UUID:
    endpoint = WebhookEndpoint(
        tenant_id=tenant_id,
        url="https://example.com/hook",
        description="",
        events=list(events),
        secret="whsec_eA==",
        disabled_at=datetime.now(UTC) if disabled else None,
    )
    session.add(endpoint)
    session.flush()
    return endpoint.id


def events_of(session: Session, tenant_id: UUID) -> list[WebhookEvent]:
    statement = select(WebhookEvent).where(WebhookEvent.tenant_id == tenant_id)
    return list(session.scalars(statement.order_by(WebhookEvent.id)))


def test_event_reaches_listening_endpoints(engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id, other_id = ensure_tenant(session, "listening"), ensure_tenant(session, "listening-too")
        listening = add_endpoint(session, tenant_id, *EVENT_TYPES)
        add_endpoint(session, tenant_id, "drift.alarm")
        add_endpoint(session, tenant_id, *EVENT_TYPES, disabled=True)
        add_endpoint(session, other_id, *EVENT_TYPES)
        announce(session, tenant_id, "batch.finished", {"batch_id": "1"})
        (event,) = events_of(session, tenant_id)
        addressed = select(WebhookDelivery.endpoint_id).where(WebhookDelivery.event_id == event.id)
        assert list(session.scalars(addressed)) == [listening]


def test_undone_work_announces_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "undone")
    with transaction(engine) as session:
        announce(session, tenant_id, "batch.finished", {})
        session.rollback()
    with transaction(engine) as session:
        assert events_of(session, tenant_id) == []


def test_finished_batch_is_announced(engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "finishing")
        batch = Batch(tenant_id=tenant_id, name="holiday", state="queued", expires_at=datetime.now(UTC))
        session.add(batch)
        session.flush()
        finish_batch_if_done(session, batch.id)
        (event,) = events_of(session, tenant_id)
        assert (event.type, event.data["batch_id"], event.data["state"], event.data["counts"]["total"]) == (
            *("batch.finished", str(batch.id)),
            *("completed", 0),
        )


def test_new_candidate_is_announced(engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "finding")
        session.add(ModelVersion(version="m", card={}, classes=["a"], embedding_dim=2))
        session.flush()
        group = FoundGroup((), (), "a", 3.0, 0.9, 0.8, {"batches": 2})
        (candidate_id,) = save_groups(session, tenant_id, model_version="m", groups=[group], before={})
        (event,) = events_of(session, tenant_id)
        assert (event.type, event.data["candidate_id"]) == ("candidate.found", str(candidate_id))


def test_shared_density_is_told_to_all_who_listen(engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id, silent_id = ensure_tenant(session, "promoted"), ensure_tenant(session, "silent")
        add_endpoint(session, tenant_id, "density.promoted")
        session.add(ModelVersion(version="model", card={}, classes=["a"], embedding_dim=2))
        session.flush()
        for version in ("first", "second"):
            checkpoint = DensityCheckpoint(version, f"densities/{version}", "0" * 64, 2)
            store_density(session, NewDensity(checkpoint, "model", details={}, reason="a test"))
    for version in ("first", "second"):
        with transaction(engine) as session:
            activate_density(session, version)
    with transaction(engine) as session:
        roll_back(session, "model", tenant_id=None, actor="cli", reason="worse")
        told = [(event.data["version"], event.data["reason"]) for event in events_of(session, tenant_id)]
        assert (told, events_of(session, silent_id)) == (
            [("first", "a test"), ("second", "a test"), ("first", "rolled back: worse")],
            [],
        )
