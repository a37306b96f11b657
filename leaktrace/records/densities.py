"""Density versions of a model, and which of them is active for whom.

A version is a row that points at an artefact in the object store; workers compare the active version with the one they
hold and swap whole. Rows are never changed except for their state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.density_models import DensityVersion
from leaktrace.records.events import announce
from leaktrace.records.models import Shard, Worker
from leaktrace.records.open_set_models import Enrolment

ALIVE_WITHIN = timedelta(seconds=30)  # three heartbeats


@dataclass(frozen=True)
class DensityCheckpoint:
    """Where a density version's artefact is and what its bytes hash to."""

    version: str
    object_key: str
    sha256: str
    known_images: int


def active_density(
    session: Session, model_version: str, *, tenant_id: UUID | None = None
) -> DensityCheckpoint | None:
    """The density that every worker of this model should use; None before the first was published.

    With `tenant_id` that tenant's own, which it has as long as it has generators enrolled.
    """
    statement = select(DensityVersion).where(
        DensityVersion.model_version == model_version,
        DensityVersion.state == "active",
        DensityVersion.tenant_id.is_(None) if tenant_id is None else DensityVersion.tenant_id == tenant_id,
    )
    row = session.execute(statement).scalar_one_or_none()
    if row is None:
        return None
    return as_checkpoint(row)


@dataclass(frozen=True)
class DensitiesInForce:
    """What judges the images of a shard: everybody's density, and its tenant's own where it has one."""

    shared: DensityCheckpoint | None
    own: DensityCheckpoint | None


def densities_for_shard(session: Session, shard_id: UUID, *, model_version: str) -> DensitiesInForce:
    """Both active densities in one query; neither for an unknown shard of a model without a density."""
    tenant_id = select(Shard.tenant_id).where(Shard.id == shard_id).scalar_subquery()
    statement = select(DensityVersion).where(
        DensityVersion.model_version == model_version,
        DensityVersion.state == "active",
        or_(DensityVersion.tenant_id == tenant_id, DensityVersion.tenant_id.is_(None)),
    )
    found = {row.tenant_id is None: as_checkpoint(row) for row in session.scalars(statement)}
    return DensitiesInForce(shared=found.get(True), own=found.get(False))


def as_checkpoint(row: DensityVersion) -> DensityCheckpoint:
    """Where the version's artefact is."""
    return DensityCheckpoint(row.version, row.object_key, row.sha256, row.known_images)


def foundation_of(session: Session, model_version: str) -> DensityCheckpoint | None:
    """The density that the model was published with: the first one for everybody."""
    statement = select(DensityVersion).where(
        DensityVersion.model_version == model_version, DensityVersion.tenant_id.is_(None)
    )
    row = session.scalars(statement.order_by(DensityVersion.created_at).limit(1)).one_or_none()
    return as_checkpoint(row) if row is not None else None


def publish_first_density(
    session: Session,
    checkpoint: DensityCheckpoint,
    *,
    model_version: str,
    details: Mapping[str, Any],
) -> bool:
    """Make the model's own density the active one where none is; False when there was one or another was quicker."""
    row = {
        "version": checkpoint.version,
        "model_version": model_version,
        "state": "active",
        "object_key": checkpoint.object_key,
        "sha256": checkpoint.sha256,
        "known_images": checkpoint.known_images,
        "details": details,
        "reason": "the density that the model was published with",
        "activated_at": func.now(),
    }
    statement = insert(DensityVersion).values(row).on_conflict_do_nothing().returning(DensityVersion.version)
    return session.execute(statement).scalar_one_or_none() is not None


def density_in_force(model_version: str, tenant_id: UUID) -> ScalarSelect[str]:
    """The version that judges a tenant's images now: its own, or else everybody's."""
    return (
        select(DensityVersion.version)
        .where(
            DensityVersion.model_version == model_version,
            DensityVersion.state == "active",
            or_(DensityVersion.tenant_id == tenant_id, DensityVersion.tenant_id.is_(None)),
        )
        .order_by(DensityVersion.tenant_id.is_(None))
        .limit(1)
        .scalar_subquery()
    )


@dataclass(frozen=True)
class NewDensity:
    """A version whose artefact has been stored, and why it was made."""

    checkpoint: DensityCheckpoint
    model_version: str
    details: Mapping[str, Any]
    reason: str


def store_density(
    session: Session, new: NewDensity, *, tenant_id: UUID | None = None, state: str = "candidate"
) -> None:
    """Record a version; one that has been recorded before stays as it is."""
    row = {
        "version": new.checkpoint.version,
        "model_version": new.model_version,
        "tenant_id": tenant_id,
        "state": state,
        "object_key": new.checkpoint.object_key,
        "sha256": new.checkpoint.sha256,
        "known_images": new.checkpoint.known_images,
        "details": new.details,
        "reason": new.reason,
    }
    session.execute(insert(DensityVersion).values(row).on_conflict_do_nothing())


def tenants_on_another_base(session: Session, model_version: str) -> list[UUID]:
    """Tenants whose own density was made from another shared one than is active now, or that want one and have none."""
    shared = active_density(session, model_version)
    statement = select(DensityVersion.tenant_id).where(
        DensityVersion.model_version == model_version,
        DensityVersion.state == "active",
        DensityVersion.tenant_id.is_not(None),
        DensityVersion.details["base"].astext != (shared.version if shared else ""),
    )
    owners = select(DensityVersion.tenant_id).where(
        DensityVersion.model_version == model_version,
        DensityVersion.state == "active",
        DensityVersion.tenant_id == Enrolment.tenant_id,
    )
    wanting = select(Enrolment.tenant_id).where(
        Enrolment.model_version == model_version,
        Enrolment.state == "active",
        ~Enrolment.shared,
        ~owners.exists(),
    )
    found = session.scalars(statement.union(wanting))
    return [tenant_id for tenant_id in found if tenant_id is not None]


def activate_density(session: Session, version: str, *, outcome: str | None = None) -> str | None:
    """Make a stored version the active one of its scope; returns the version that it took the place of.

    `outcome` says in words why it was promoted.
    """
    chosen = session.get_one(DensityVersion, version)
    chosen.outcome = outcome or chosen.outcome
    before = retire_density(session, chosen.model_version, tenant_id=chosen.tenant_id)
    chosen.state, chosen.activated_at, chosen.retired_at = "active", func.now(), None
    session.flush()
    announce_promotion(session, chosen.model_version, chosen.tenant_id, before=before, reason=chosen.reason)
    return before


def retire_density(session: Session, model_version: str, *, tenant_id: UUID | None) -> str | None:
    """Retire the active version of a scope; returns it, or None when there was none."""
    active = active_density(session, model_version, tenant_id=tenant_id)
    if active is None:
        return None
    row = session.get_one(DensityVersion, active.version)
    row.state, row.retired_at = "retired", func.now()
    session.flush()
    return active.version


def announce_promotion(
    session: Session, model_version: str, tenant_id: UUID | None, *, before: str | None, reason: str
) -> None:
    """Tell whom it concerns which density judges their images from now on: a tenant, or everybody (None)."""
    own = active_density(session, model_version, tenant_id=tenant_id)
    shared = active_density(session, model_version)
    current = own or shared
    data = {
        "version": current.version if current else None,
        "previous_version": before,
        "model_version": model_version,
        "scope": "own" if tenant_id is not None and own is not None else "shared",
        "reason": reason,
    }
    announce(session, tenant_id, "density.promoted", data)


def models_in_use(session: Session) -> list[str]:
    """Model versions that living workers run."""
    alive = select(Worker.model_version).where(Worker.seen_at > func.now() - ALIVE_WITHIN).distinct()
    return sorted(session.scalars(alive))
