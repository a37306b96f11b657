"""Webhook endpoints: made, changed, given new secrets, tried out. Sending to them is told in `deliveries`.

A secret is kept so that it can be read again, because every message is signed with it; whether it is sealed is its
maker's affair. After a rotation messages are signed with both secrets for a while, so that a receiver can change over
when it likes.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.keys import Caller
from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent

SECRET_PREFIX = "whsec_"  # noqa: S105 - the format of Standard Webhooks, no secret
SECRET_BYTES = 32
TEST_EVENT = "webhook.test"
MOST_PENDING = 10_000
KEEP_EVENTS = timedelta(days=30)
PURGED_TOGETHER = 10_000
TROUBLED_SHOWN = 20


class WebhookNotFound(NotFound):
    """The tenant has no such webhook, or it no such delivery."""

    code = "webhook_not_found"


class TooManyWebhooks(Conflict):
    """The tenant has as many webhooks as it may; delete one first."""

    code = "too_many_webhooks"


class WebhookBusy(Conflict):
    """So much waits to be delivered to this webhook that nothing is added by hand; let the receiver catch up."""

    code = "webhook_busy"


class WebhookDisabled(Conflict):
    """Nothing is sent to a disabled webhook; enable it first."""

    code = "webhook_disabled"


def create_webhook(
    session: Session,
    caller: Caller,
    *,
    url: str,
    events: Sequence[str],
    description: str,
    secret: str,
    most: int,
) -> WebhookEndpoint:
    """A new endpoint; `secret` is its own, as it is to be stored.

    Raises:
        TooManyWebhooks: the tenant has `most` already.
    """
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"tenant-webhooks:{caller.tenant_id}", 0))
    session.execute(select(lock))
    mine = select(func.count()).where(WebhookEndpoint.tenant_id == caller.tenant_id)
    if session.execute(mine).scalar_one() >= most:
        raise TooManyWebhooks(f"there are {most} webhooks, as many as a tenant may have; delete one first")
    endpoint = WebhookEndpoint(
        tenant_id=caller.tenant_id,
        url=url,
        events=sorted(set(events)),
        description=description,
        secret=secret,
    )
    session.add(endpoint)
    session.flush()
    session.refresh(endpoint)
    record_webhook_audit(session, "webhook.created", endpoint, actor=caller.actor, url=url)
    return endpoint


def list_webhooks(session: Session, tenant_id: UUID) -> list[WebhookEndpoint]:
    """The tenant's endpoints, the newest first."""
    statement = select(WebhookEndpoint).where(WebhookEndpoint.tenant_id == tenant_id)
    return list(session.scalars(statement.order_by(WebhookEndpoint.id.desc())))


def list_troubled_webhooks(session: Session, tenant_id: UUID | None) -> list[WebhookEndpoint]:
    """Endpoints of a tenant, or (None) of all, that fail or were disabled, the newest first."""
    troubled = or_(WebhookEndpoint.failing_since.is_not(None), WebhookEndpoint.disabled_at.is_not(None))
    statement = (
        select(WebhookEndpoint).where(troubled).order_by(WebhookEndpoint.id.desc()).limit(TROUBLED_SHOWN)
    )
    if tenant_id is not None:
        statement = statement.where(WebhookEndpoint.tenant_id == tenant_id)
    return list(session.scalars(statement))


def find_webhook(
    session: Session, tenant_id: UUID, *, webhook_id: UUID, lock: bool = False
) -> WebhookEndpoint:
    """One endpoint of the tenant's, its row locked if it is to be changed.

    Raises:
        WebhookNotFound: there is none.
    """
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.tenant_id == tenant_id, WebhookEndpoint.id == webhook_id
    )
    endpoint = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if endpoint is None:
        raise WebhookNotFound(f"there is no webhook {webhook_id}")
    return endpoint


def enable_webhook(endpoint: WebhookEndpoint, *, enabled: bool, reason: str) -> None:
    """Send to the endpoint again, with what waits for it, or stop sending."""
    if enabled:
        endpoint.disabled_at, endpoint.disabled_reason, endpoint.failing_since = None, None, None
    elif endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_reason = datetime.now(UTC), reason


def rotate_secret(endpoint: WebhookEndpoint, *, secret: str, keep_previous: timedelta) -> None:
    """Give the endpoint another secret, as it is to be stored; for that time messages are signed with both."""
    endpoint.previous_secret = endpoint.secret
    endpoint.previous_secret_until = datetime.now(UTC) + keep_previous
    endpoint.secret = secret


def renew_secrets(session: Session, renew: Callable[[str], str]) -> int:
    """Store the secrets of all tenants' endpoints as `renew` makes them of what is stored; returns of how many."""
    endpoints = session.scalars(select(WebhookEndpoint).with_for_update()).all()
    for endpoint in endpoints:
        endpoint.secret = renew(endpoint.secret)
        if endpoint.previous_secret is not None:
            endpoint.previous_secret = renew(endpoint.previous_secret)
    return len(endpoints)


def delete_webhook(session: Session, endpoint: WebhookEndpoint, *, actor: str) -> None:
    """Remove the endpoint with its deliveries; what happened stays recorded."""
    record_webhook_audit(session, "webhook.deleted", endpoint, actor=actor, url=endpoint.url)
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id))


def send_test(session: Session, endpoint: WebhookEndpoint) -> UUID:
    """Address an event of no meaning to the endpoint; returns the delivery's id.

    Raises:
        WebhookDisabled: the endpoint is disabled. WebhookBusy: too much waits for it.
    """
    check_open(session, endpoint)
    event = WebhookEvent(tenant_id=endpoint.tenant_id, type=TEST_EVENT, data={"webhook_id": str(endpoint.id)})
    session.add(event)
    session.flush()
    row = insert(WebhookDelivery).values(
        tenant_id=endpoint.tenant_id, endpoint_id=endpoint.id, event_id=event.id
    )
    return session.execute(row.returning(WebhookDelivery.id)).scalar_one()


def check_open(session: Session, endpoint: WebhookEndpoint) -> None:
    """Raise unless deliveries may be added to the endpoint by hand."""
    if endpoint.disabled_at is not None:
        raise WebhookDisabled(
            f"webhook {endpoint.id} is disabled ({endpoint.disabled_reason}); enable it first"
        )
    waiting = select(func.count()).where(
        WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.state == "pending"
    )
    if session.execute(waiting).scalar_one() >= MOST_PENDING:
        raise WebhookBusy(f"{MOST_PENDING:,} deliveries or more wait for webhook {endpoint.id}; try later")


def purge_events(session: Session) -> int:
    """Remove events of long ago with their deliveries, at most so many at once; returns how many."""
    old = (
        select(WebhookEvent.id)
        .where(WebhookEvent.created_at < func.now() - KEEP_EVENTS)
        .order_by(WebhookEvent.created_at)
        .limit(PURGED_TOGETHER)
    )
    removed = delete(WebhookEvent).where(WebhookEvent.id.in_(old)).returning(WebhookEvent.id)
    return len(session.scalars(removed).all())


def record_webhook_audit(
    session: Session, action: str, endpoint: WebhookEndpoint, *, actor: str, **details: object
) -> None:
    """Append to the audit trail what was done to an endpoint."""
    subject, tenant_id = str(endpoint.id), endpoint.tenant_id
    record_audit(session, action, tenant_id=tenant_id, actor=actor, subject=subject, **details)


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
