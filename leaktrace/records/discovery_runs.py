"""When groups were last looked for among a tenant's unseen images, and what came of it.

So that "nothing was found" and "nobody has looked yet" can be told apart. Only the newest run of a model is kept.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.open_set_models import DiscoveryRun


def record_run(
    session: Session, tenant_id: UUID, *, model_version: str, images: int, candidates: int
) -> None:
    """Keep that so many held images were looked at, and so many groups found."""
    facts = {"images": images, "candidates": candidates, "at": func.now()}
    statement = insert(DiscoveryRun).values(tenant_id=tenant_id, model_version=model_version, **facts)
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "model_version"], set_=facts)
    )


def last_run(session: Session, tenant_id: UUID, *, model_version: str) -> DiscoveryRun | None:
    """The newest run; None before the first."""
    statement = select(DiscoveryRun).where(
        DiscoveryRun.tenant_id == tenant_id, DiscoveryRun.model_version == model_version
    )
    return session.scalars(statement).one_or_none()
