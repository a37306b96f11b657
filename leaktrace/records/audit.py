"""The audit trail: what was done to whom by whom, appended and read, never changed afterwards."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from leaktrace.records.models import AuditEvent, Tenant

AuditRow = tuple[
    AuditEvent, str | None
]  # the event and its tenant's name, None where it is of the whole service


@dataclass(frozen=True)
class AuditFilter:
    """Which events are wanted; what is None does not matter. `action` may be a family, as in "webhook."."""

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def record_audit(
    session: Session, action: str, *, tenant_id: UUID | None, actor: str, subject: str, **details: Any
) -> None:
    """Append one event in the caller's transaction, so that it stands exactly when what it tells of stands."""
    session.add(AuditEvent(tenant_id=tenant_id, actor=actor, action=action, subject=subject, details=details))


def list_audit(
    session: Session, tenant_id: UUID | None, *, chosen: AuditFilter, limit: int, before: int | None = None
) -> list[AuditRow]:
    """The newest events of a tenant, or (None) of all tenants and of the service itself, older than `before`."""
    statement = select(AuditEvent, Tenant.name).outerjoin(Tenant, Tenant.id == AuditEvent.tenant_id)
    if tenant_id is not None:
        statement = statement.where(AuditEvent.tenant_id == tenant_id)
    if before is not None:
        statement = statement.where(AuditEvent.id < before)
    if chosen.action is not None:
        is_family = chosen.action.endswith(".")
        statement = statement.where(
            AuditEvent.action.startswith(chosen.action, autoescape=True)
            if is_family
            else AuditEvent.action == chosen.action
        )
    for column, wanted in ((AuditEvent.actor, chosen.actor), (AuditEvent.subject, chosen.subject)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if chosen.since is not None:
        statement = statement.where(AuditEvent.at >= chosen.since)
    if chosen.until is not None:
        statement = statement.where(AuditEvent.at < chosen.until)
    rows = session.execute(statement.order_by(AuditEvent.id.desc()).limit(limit))
    return [(event, name) for event, name in rows]
