"""The record of every refit: what looked at a model's density, when, and what came of it, also when that was nothing.

One that a person asks for is recorded at once, as `asked`, and decided by a worker within seconds.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, null, select
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict
from leaktrace.records.audit import record_audit
from leaktrace.records.challengers import find_density
from leaktrace.records.density_models import DensityVersion, Refit


class NotPromotable(Conflict):
    """Only a density for everybody that is in shadow, or that answered before, can be promoted."""

    code = "not_promotable"


def record_refit(
    session: Session,
    model_version: str,
    *,
    outcome: str,
    reason: str,
    density_version: str | None = None,
    details: Mapping[str, Any] | None = None,
    asked: UUID | None = None,
) -> None:
    """Append one run of the refit, or decide the one that was `asked` for."""
    row = session.get_one(Refit, asked) if asked is not None else Refit(model_version=model_version)
    if asked is not None:
        details = {**(details or {}), "asked": row.reason}
    row.outcome, row.reason, row.density_version = outcome, reason, density_version
    row.details, row.decided_at = dict(details or {}), func.now()
    session.add(row)


def ask_refit(session: Session, model_version: str, *, actor: str, reason: str) -> Refit:
    """Ask that the density for everybody is fitted again now."""
    # NULL itself: for None the column's default would be taken, and the request would look decided.
    refit = Refit(model_version=model_version, outcome="asked", reason=reason, actor=actor, decided_at=null())
    session.add(refit)
    session.flush()
    record_audit(
        session, "density.refit_asked", tenant_id=None, actor=actor, subject=model_version, reason=reason
    )
    return refit


def ask_promotion(session: Session, version: str, *, tenant_id: UUID, actor: str, reason: str) -> Refit:
    """Ask that a density for everybody answers from now on: one in shadow, or one that did before.

    Raises:
        DensityNotFound, NotPromotable
    """
    chosen = find_density(session, version, tenant_id=tenant_id)
    if chosen.tenant_id is not None or chosen.state not in ("shadow", "retired"):
        scope = "is everybody's" if chosen.tenant_id is None else "is a tenant's own"
        raise NotPromotable(
            f"{version} {scope} and {chosen.state}; only everybody's in shadow or retired can be promoted"
        )
    refit = Refit(
        model_version=chosen.model_version,
        density_version=version,
        outcome="asked",
        reason=reason,
        actor=actor,
        decided_at=null(),
    )
    session.add(refit)
    session.flush()
    record_audit(
        session, "density.promotion_asked", tenant_id=None, actor=actor, subject=version, reason=reason
    )
    return refit


def asked_refits(session: Session, model_version: str) -> list[UUID]:
    """Refits that were asked for and are not decided, the oldest first."""
    return [one.id for one in _asked(session, model_version) if one.density_version is None]


def asked_promotions(session: Session, model_version: str) -> list[Refit]:
    """Promotions of a density that were asked for and are not decided, the oldest first."""
    return [one for one in _asked(session, model_version) if one.density_version is not None]


def _asked(session: Session, model_version: str) -> list[Refit]:
    statement = select(Refit).where(Refit.model_version == model_version, Refit.outcome == "asked")
    return list(session.scalars(statement.order_by(Refit.id)))


def list_refits(session: Session, model_version: str, *, limit: int = 100) -> list[Refit]:
    """The runs, the newest first."""
    statement = select(Refit).where(Refit.model_version == model_version)
    return list(session.scalars(statement.order_by(Refit.id.desc()).limit(limit)))


def newest_label_used(session: Session, model_version: str) -> UUID | None:
    """The newest label that any density for everybody was made with, or that a refused refit looked at.

    So a density that was refused or rolled back is not made again until as many images more are confirmed.
    """
    made = select(func.max(DensityVersion.details["newest_label"].astext)).where(
        DensityVersion.model_version == model_version, DensityVersion.tenant_id.is_(None)
    )
    refused = select(func.max(Refit.details["newest_label"].astext)).where(
        Refit.model_version == model_version, Refit.outcome == "refused"
    )
    labels = [session.execute(each).scalar_one() for each in (made, refused)]
    newest = max((label for label in labels if label), default=None)
    return UUID(newest) if newest else None


def labels_left_out(session: Session, model_version: str) -> set[UUID]:
    """The labels of the images that refused refits leave out. An image that is labelled anew is not among them."""
    statement = select(Refit.details["leaves_out"]).where(
        Refit.model_version == model_version, Refit.outcome == "refused"
    )
    return {UUID(label) for labels in session.scalars(statement) for label in labels or ()}


def confirmed_in(session: Session, version: str) -> int:
    """How many confirmed images a density was made with."""
    made_of = session.get_one(DensityVersion, version).details.get("data", {})
    return int(made_of.get("confirmed_images", 0))
