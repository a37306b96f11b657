"""Going back to the density before, in one call: for everybody, or for a tenant's own.

Workers compare the active version at every shard, so the earlier one judges within one shard. What was said meanwhile
stays, under the version that said it. Rolling back twice goes two versions back, never forth again.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict
from leaktrace.records.audit import record_audit
from leaktrace.records.densities import active_density, announce_promotion
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.enrolments import standing_enrolments, withdraw
from leaktrace.records.open_set_models import Enrolment
from leaktrace.records.promotions import restore_promotions


class NothingToRollBack(Conflict):
    """There is no earlier density version to go back to."""

    code = "nothing_to_roll_back"


def roll_back(
    session: Session, model_version: str, *, tenant_id: UUID | None, actor: str, reason: str
) -> str | None:
    """Retire the active density of the scope and activate the one before; returns that one.

    None when a tenant had none of its own before, so that everybody's judges its images again.

    Raises:
        NothingToRollBack: the scope has no active version, or everybody's has no earlier one.
    """
    active = active_density(session, model_version, tenant_id=tenant_id)
    if active is None:
        raise NothingToRollBack("there is no density of your own to roll back: no generator is enrolled")
    current = session.get_one(DensityVersion, active.version)
    before = _version_before(session, current)
    if before is None and tenant_id is None:
        raise NothingToRollBack(f"{current.version} is the first density of {model_version}")
    current.state, current.retired_at = "retired", func.now()
    session.flush()
    if before is not None:
        # The time of its first activation stays, so that a second call goes further back.
        before.state, before.retired_at = "active", None
        session.flush()
    if tenant_id is None:
        restore_promotions(session, model_version, kept=enrolments_of(before), reason=reason)
    else:
        _restore_enrolments(session, tenant_id, before, model_version=model_version, reason=reason)
    restored = before.version if before is not None else None
    _record(session, tenant_id, actor=actor, left=current.version, restored=restored, reason=reason)
    announce_promotion(
        session, model_version, tenant_id, before=current.version, reason=f"rolled back: {reason}"
    )
    return restored


@dataclass(frozen=True)
class RollbackPreview:
    """What answers a scope's images now, and what would after a rollback; None: a tenant would have none of its own."""

    current: DensityVersion
    before: DensityVersion | None


def preview_rollback(
    session: Session, model_version: str, *, tenant_id: UUID | None
) -> RollbackPreview | None:
    """What `roll_back` would do; None when there is nothing to go back to."""
    active = active_density(session, model_version, tenant_id=tenant_id)
    if active is None:
        return None
    current = session.get_one(DensityVersion, active.version)
    before = _version_before(session, current)
    return None if before is None and tenant_id is None else RollbackPreview(current, before)


def list_densities(
    session: Session, model_version: str, *, tenant_id: UUID | None, limit: int = 100
) -> list[DensityVersion]:
    """Versions for everybody and, with `tenant_id`, that tenant's own, the newest first."""
    scope = or_(DensityVersion.tenant_id.is_(None), DensityVersion.tenant_id == tenant_id)
    statement = select(DensityVersion).where(DensityVersion.model_version == model_version, scope)
    return list(session.scalars(statement.order_by(DensityVersion.created_at.desc()).limit(limit)))


def _version_before(session: Session, current: DensityVersion) -> DensityVersion | None:
    scope = (
        DensityVersion.tenant_id.is_(None)
        if current.tenant_id is None
        else DensityVersion.tenant_id == current.tenant_id
    )
    statement = select(DensityVersion).where(
        DensityVersion.model_version == current.model_version,
        DensityVersion.state == "retired",
        DensityVersion.activated_at < current.activated_at,
        scope,
    )
    return session.scalars(statement.order_by(DensityVersion.activated_at.desc()).limit(1)).first()


def _restore_enrolments(
    session: Session,
    tenant_id: UUID,
    restored: DensityVersion | None,
    *,
    model_version: str,
    reason: str,
) -> None:
    """Let the enrolments that stand be those of the restored density, for every later density is made from them."""
    kept = enrolments_of(restored)
    for enrolment in standing_enrolments(session, tenant_id, model_version=model_version):
        if enrolment.id not in kept:
            withdraw(session, enrolment.id, outcome=f"rolled back: {reason}")
    for enrolment_id in kept:
        restored_one = session.get(Enrolment, enrolment_id)
        if restored_one is not None and restored_one.state != "active":
            restored_one.state, restored_one.outcome = "active", f"restored by a rollback: {reason}"


def enrolments_of(density: DensityVersion | None) -> set[UUID]:
    """The enrolments that a density was made with."""
    return {UUID(each) for each in density.details.get("enrolments", [])} if density is not None else set()


def _record(session: Session, tenant_id: UUID | None, *, actor: str, left: str, **details: Any) -> None:
    record_audit(session, "density.rolled_back", tenant_id=tenant_id, actor=actor, subject=left, **details)
