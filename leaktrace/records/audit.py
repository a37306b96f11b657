"""The audit trail: what was done to whom by whom, never changed afterwards."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from leaktrace.records.models import AuditEvent


def record_audit(
    session: Session, action: str, *, tenant_id: UUID | None, actor: str, subject: str, **details: Any
) -> None:
    """Append one event in the caller's transaction, so that it stands exactly when what it tells of stands."""
    session.add(AuditEvent(tenant_id=tenant_id, actor=actor, action=action, subject=subject, details=details))
