"""The tables of webhooks: who wants to be told, what happened, and how far the telling of each got.

An event is written in the transaction of what it tells of, whether or not anybody listens yet, so that an endpoint can
be given later what it missed. A delivery is one event on its way to one endpoint.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

DELIVERY_STATES = ("pending", "delivered", "failed")


class WebhookEndpoint(Base):
    """An address that a tenant wants to be told at. One worker at a time sends to it, by a lease."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index(None, "tenant_id", "id"),)

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    url: Mapped[str]
    description: Mapped[str]
    events: Mapped[list[str]]
    # Every message is signed with it; sealed where there are keys for that (`leaktrace.sealing`).
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]  # until then messages are signed with both
    created_at: Mapped[datetime] = created_now()
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]  # the first failure after the last success
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]


class WebhookEvent(Base):
    """Something that happened to a tenant; its id is the message's, however often it is sent."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index(None, "tenant_id", "id"), Index(None, "created_at"))

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    type: Mapped[str]  # for example "batch.finished"
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = created_now()


class WebhookDelivery(Base):
    """One event on its way to one endpoint. `attempts` counts the tries since it was last begun anew."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("state", DELIVERY_STATES),
        UniqueConstraint("endpoint_id", "event_id"),
        Index(None, "endpoint_id", "id"),
        Index(None, "event_id"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tries: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))  # the latest ones
    created_at: Mapped[datetime] = created_now()
    delivered_at: Mapped[datetime | None]
