"""Density versions of a model, which of them is active, and the record of every refit.

A version is a row that points at an artefact in the object store; workers compare the active version with the one they
hold and swap whole. Rows are never changed except for their state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.models import DensityVersion, Refit, Worker

ALIVE_WITHIN = timedelta(seconds=30)  # three heartbeats


@dataclass(frozen=True)
class DensityCheckpoint:
    """Where a density version's artefact is and what its bytes hash to."""

    version: str
    object_key: str
    sha256: str
    known_images: int


def active_density(session: Session, model_version: str) -> DensityCheckpoint | None:
    """The density that every worker of this model should use; None before the first was published."""
    statement = select(DensityVersion).where(
        DensityVersion.model_version == model_version, DensityVersion.state == "active"
    )
    row = session.execute(statement).scalar_one_or_none()
    if row is None:
        return None
    return DensityCheckpoint(row.version, row.object_key, row.sha256, row.known_images)


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


def record_refit(
    session: Session, model_version: str, *, outcome: str, reason: str, density_version: str | None = None
) -> None:
    """Append one run of the refit, also when it changed nothing."""
    session.add(
        Refit(model_version=model_version, outcome=outcome, reason=reason, density_version=density_version)
    )


def models_in_use(session: Session) -> list[str]:
    """Model versions that living workers run."""
    alive = select(Worker.model_version).where(Worker.seen_at > func.now() - ALIVE_WITHIN).distinct()
    return sorted(session.scalars(alive))
