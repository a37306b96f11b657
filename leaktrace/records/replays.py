"""Looking at deliveries, and sending again: one, or everything since a time, also what an endpoint never was sent.

A replay keeps the event's id, so that a receiver recognises what it has had. Its tries begin anew.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from leaktrace.records.webhooks import MOST_PENDING, WebhookNotFound, check_open

DeliveryRow = tuple[WebhookDelivery, WebhookEvent]
ANEW = {"state": "pending", "attempts": 0, "next_attempt_at": func.now()}


def list_deliveries(
    session: Session, endpoint: WebhookEndpoint, *, state: str | None, before: UUID | None, limit: int
) -> list[DeliveryRow]:
    """Deliveries of an endpoint with their events, the newest first, older than `before`."""
    statement = _deliveries(endpoint)
    if state is not None:
        statement = statement.where(WebhookDelivery.state == state)
    if before is not None:
        statement = statement.where(WebhookDelivery.id < before)
    rows = session.execute(statement.order_by(WebhookDelivery.id.desc()).limit(limit))
    return [(delivery, event) for delivery, event in rows]


def find_delivery(session: Session, endpoint: WebhookEndpoint, *, delivery_id: UUID) -> DeliveryRow:
    """One delivery of the endpoint with its event.

    Raises:
        WebhookNotFound: there is none.
    """
    row = session.execute(_deliveries(endpoint).where(WebhookDelivery.id == delivery_id)).one_or_none()
    if row is None:
        raise WebhookNotFound(f"webhook {endpoint.id} has no delivery {delivery_id}")
    return row[0], row[1]


def replay_one(session: Session, endpoint: WebhookEndpoint, *, delivery_id: UUID) -> DeliveryRow:
    """Send one event again, whatever became of it before.

    Raises:
        WebhookNotFound: there is no such delivery. WebhookDisabled, WebhookBusy: nothing may be added now.
    """
    check_open(session, endpoint)
    delivery, event = find_delivery(session, endpoint, delivery_id=delivery_id)
    session.execute(update(WebhookDelivery).where(WebhookDelivery.id == delivery.id).values(ANEW))
    session.refresh(delivery)
    return delivery, event


def replay_since(
    session: Session, endpoint: WebhookEndpoint, *, since: datetime, include_delivered: bool
) -> int:
    """Send again all that happened since then and was not delivered, with what was never addressed; returns how many.

    At most so many at a time as may wait for one endpoint.

    Raises:
        WebhookDisabled, WebhookBusy: nothing may be added now.
    """
    check_open(session, endpoint)
    happened = (
        select(literal(endpoint.tenant_id), literal(endpoint.id), WebhookEvent.id)
        .where(
            WebhookEvent.tenant_id == endpoint.tenant_id,
            WebhookEvent.created_at >= since,
            WebhookEvent.type.in_(endpoint.events),
            ~exists().where(
                WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.event_id == WebhookEvent.id
            ),
        )
        .order_by(WebhookEvent.id)
        .limit(MOST_PENDING)
    )
    row = insert(WebhookDelivery).from_select(["tenant_id", "endpoint_id", "event_id"], happened)
    missed = session.scalars(row.on_conflict_do_nothing().returning(WebhookDelivery.id)).all()
    states = ("failed", "delivered") if include_delivered else ("failed",)
    ended = (
        select(WebhookDelivery.id)
        .join(WebhookEvent, WebhookEvent.id == WebhookDelivery.event_id)
        .where(
            WebhookDelivery.endpoint_id == endpoint.id,
            WebhookDelivery.state.in_(states),
            WebhookEvent.created_at >= since,
        )
        .limit(MOST_PENDING)
    )
    again = update(WebhookDelivery).where(WebhookDelivery.id.in_(ended)).values(ANEW)
    return len(missed) + len(session.scalars(again.returning(WebhookDelivery.id)).all())


def _deliveries(endpoint: WebhookEndpoint) -> Select[WebhookDelivery, WebhookEvent]:
    return (
        select(WebhookDelivery, WebhookEvent)
        .join(WebhookEvent, WebhookEvent.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.endpoint_id == endpoint.id)
    )
