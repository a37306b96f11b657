"""Deliveries: which endpoint is sent to next, by whom, and what became of each try.

A worker leases an endpoint, not a delivery, so that a slow receiver holds up no other one and gets its messages in
order. A try is recorded only by whoever still has the lease; a worker that dies after it has sent is followed by
another that sends the same message, under the same id, again. Knows nothing of HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from leaktrace.records.webhooks import enable_webhook, record_webhook_audit

# After each failed try; the times that Standard Webhooks proposes, some three days in all.
RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
LONGEST_ASKED_WAIT = timedelta(days=1)
DISABLE_AFTER = timedelta(days=5)
TRIES_KEPT = 20
GONE = 410


@dataclass(frozen=True)
class EndpointLease:
    """The right of one worker to send to an endpoint until the lease runs out."""

    endpoint_id: UUID
    owner: str
    failing: bool


@dataclass(frozen=True)
class DueDelivery:
    """A message that is due, with the secrets that sign it."""

    delivery_id: UUID
    event_id: UUID
    event: str
    data: dict[str, Any]
    happened_at: datetime
    url: str
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Try:
    """What became of sending once; `status` is None where nothing answered."""

    status: int | None
    error: str | None
    milliseconds: int
    retry_after: timedelta | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took the message."""
        return self.error is None


def lease_endpoints(
    session: Session, owner: str, *, limit: int, seconds: float, failing: bool
) -> list[EndpointLease]:
    """Up to `limit` endpoints with something due that nobody sends to, the longest waiting first.

    Those whose last try failed are asked for apart, so that they cannot take every place.
    """
    due = (
        select(func.min(WebhookDelivery.next_attempt_at))
        .where(WebhookDelivery.endpoint_id == WebhookEndpoint.id, *_is_due())
        .scalar_subquery()
    )
    free = or_(WebhookEndpoint.lease_expires_at.is_(None), WebhookEndpoint.lease_expires_at < func.now())
    statement = (
        select(WebhookEndpoint)
        .where(WebhookEndpoint.disabled_at.is_(None), free, due.is_not(None))
        .where(
            WebhookEndpoint.failing_since.is_not(None) if failing else WebhookEndpoint.failing_since.is_(None)
        )
        .order_by(due)
        .limit(limit)
        .with_for_update(skip_locked=True, of=WebhookEndpoint)
    )
    found = list(session.scalars(statement))
    for endpoint in found:
        endpoint.lease_owner, endpoint.lease_expires_at = owner, func.now() + timedelta(seconds=seconds)
    return [EndpointLease(endpoint.id, owner, failing) for endpoint in found]


def take_due(session: Session, lease: EndpointLease, *, seconds: float) -> DueDelivery | None:
    """The endpoint's next due message, with the lease renewed; None when there is none or the lease was lost."""
    endpoint = _held(session, lease)
    if endpoint is None or endpoint.disabled_at is not None:
        return None
    endpoint.lease_expires_at = func.now() + timedelta(seconds=seconds)
    statement = (
        select(WebhookDelivery, WebhookEvent)
        .join(WebhookEvent, WebhookEvent.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.endpoint_id == lease.endpoint_id, *_is_due())
        .order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.id)
        .limit(1)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        return None
    delivery, event = row
    return DueDelivery(
        *(delivery.id, event.id, event.type, event.data, event.created_at, endpoint.url),
        secrets=_valid_secrets(endpoint),
    )


def record_try(session: Session, lease: EndpointLease, delivery_id: UUID, *, tried: Try) -> bool:
    """Note what became of a try; False, with nothing noted, when the lease or the delivery is gone."""
    endpoint = _held(session, lease)
    delivery = session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if endpoint is None or delivery is None:
        return False
    now = datetime.now(UTC)
    noted = {"at": now.isoformat(), "status": tried.status, "error": tried.error}
    delivery.tries = [*delivery.tries, {**noted, "milliseconds": tried.milliseconds}][-TRIES_KEPT:]
    delivery.attempts += 1
    if tried.succeeded:
        delivery.state, delivery.delivered_at, endpoint.failing_since = "delivered", now, None
    else:
        _plan_next(delivery, tried, now=now)
        _judge_endpoint(session, endpoint, tried, now=now)
    return True


def release_endpoint(session: Session, lease: EndpointLease) -> None:
    """Let somebody else send to the endpoint."""
    session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == lease.endpoint_id, WebhookEndpoint.lease_owner == lease.owner)
        .values(lease_owner=None, lease_expires_at=None)
    )


def has_due(session: Session) -> bool:
    """Whether anything is due at all: cheap, for the usual case that nothing is."""
    return bool(session.execute(select(exists().where(*_is_due()))).scalar_one())


def _is_due() -> Sequence[Any]:
    return WebhookDelivery.state == "pending", WebhookDelivery.next_attempt_at <= func.now()


def _held(session: Session, lease: EndpointLease) -> WebhookEndpoint | None:
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.id == lease.endpoint_id, WebhookEndpoint.lease_owner == lease.owner
    )
    return session.execute(statement.with_for_update()).scalar_one_or_none()


def _valid_secrets(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    until = endpoint.previous_secret_until
    if endpoint.previous_secret is None or until is None or until <= datetime.now(UTC):
        return (endpoint.secret,)
    return endpoint.secret, endpoint.previous_secret


def _plan_next(delivery: WebhookDelivery, tried: Try, *, now: datetime) -> None:
    if delivery.attempts > len(RETRY_AFTER):
        delivery.state = "failed"
        return
    asked = min(tried.retry_after or timedelta(0), LONGEST_ASKED_WAIT)
    delivery.next_attempt_at = now + max(RETRY_AFTER[delivery.attempts - 1], asked)


def _judge_endpoint(session: Session, endpoint: WebhookEndpoint, tried: Try, *, now: datetime) -> None:
    """Note since when the endpoint fails; one that fails for days, or says that it is gone, is disabled."""
    endpoint.failing_since = endpoint.failing_since or now
    if tried.status == GONE:
        reason = "the receiver answered 410 Gone"
    elif now - endpoint.failing_since > DISABLE_AFTER:
        reason = f"every try since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC failed: {tried.error}"
    else:
        return
    enable_webhook(endpoint, enabled=False, reason=reason)
    record_webhook_audit(session, "webhook.disabled", endpoint, actor="system", reason=reason)
