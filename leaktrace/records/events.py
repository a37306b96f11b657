"""Events that tenants may be told of by webhooks: `announce` records one in the caller's transaction.

So an event stands exactly when what it tells of stands. Sending is a worker's, later. Knows nothing of HTTP.
"""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import any_, insert, literal, select
from sqlalchemy.orm import Session

from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent

EventType = Literal["batch.finished", "candidate.found", "density.promoted", "drift.alarm"]
EVENT_TYPES: tuple[EventType, ...] = ("batch.finished", "candidate.found", "density.promoted", "drift.alarm")


def announce(session: Session, tenant_id: UUID | None, event: EventType, data: Mapping[str, Any]) -> None:
    """Record what happened to a tenant, or to everybody (None): then for each tenant that has an endpoint.

    `data` is JSON: ids and times as text. It is sent as it is, so it names nothing of another tenant's.
    """
    told = [tenant_id] if tenant_id is not None else _tenants_with_endpoints(session)
    for each in told:
        record = WebhookEvent(tenant_id=each, type=event, data=dict(data))
        session.add(record)
        session.flush()
        _address(session, record)


def _tenants_with_endpoints(session: Session) -> list[UUID]:
    return list(session.scalars(select(WebhookEndpoint.tenant_id).distinct()))


def _address(session: Session, event: WebhookEvent) -> None:
    """A delivery for each endpoint that takes such events now."""
    takers = select(WebhookEndpoint.tenant_id, WebhookEndpoint.id, literal(event.id)).where(
        WebhookEndpoint.tenant_id == event.tenant_id,
        literal(event.type) == any_(WebhookEndpoint.events),
        WebhookEndpoint.disabled_at.is_(None),
    )
    session.execute(insert(WebhookDelivery).from_select(["tenant_id", "endpoint_id", "event_id"], takers))
