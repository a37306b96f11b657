"""What the service knows of its workers and models without asking them: read by health checks and /v1/generators.

A worker is alive while its heartbeat is recent; a density is stale when neither a refit has looked at it nor anyone
has activated it for too long.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from leaktrace.records.density_models import DensityVersion, Refit
from leaktrace.records.models import Attribution, ModelVersion, Worker

HEARTBEAT_SECONDS = 10
MISSED_HEARTBEATS = 3


@dataclass(frozen=True)
class WorkerState:
    """A worker process, and whether its last heartbeat is recent."""

    id: str
    alive: bool
    device: str
    model_version: str
    density_version: str
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class GeneratorUse:
    """How many of a tenant's images were attributed to a generator, and how surely."""

    images: int
    median_p_value: float


def count_living_workers(session: Session) -> int:
    """Workers whose last heartbeat is recent."""
    return session.execute(select(func.count()).select_from(Worker).where(_is_alive())).scalar_one()


def list_workers(session: Session, *, seen_after: datetime) -> list[WorkerState]:
    """Workers that were heard from since then, the living ones first."""
    columns = (
        *(Worker.id, _is_alive().label("alive"), Worker.device, Worker.model_version),
        *(Worker.density_version, Worker.started_at, Worker.seen_at),
    )
    statement = select(*columns).where(Worker.seen_at > seen_after)
    rows = session.execute(statement.order_by(_is_alive().desc(), Worker.started_at))
    return [WorkerState(*row) for row in rows]


def find_stale_models(session: Session, *, stale_after_seconds: float) -> list[str]:
    """Models of living workers whose density is missing, or was neither published nor looked at for too long."""
    models = session.scalars(select(Worker.model_version).where(_is_alive()).distinct())
    oldest = datetime.now(UTC) - timedelta(seconds=stale_after_seconds)
    return [
        model
        for model in models
        if (_density_seen_at(session, model) or datetime.min.replace(tzinfo=UTC)) < oldest
    ]


def find_serving_model(session: Session) -> ModelVersion | None:
    """The model of the worker heard from last; before any worker has run, the one registered last."""
    statement = (
        select(ModelVersion)
        .outerjoin(Worker, Worker.model_version == ModelVersion.version)
        .order_by(Worker.seen_at.desc().nulls_last(), ModelVersion.registered_at.desc())
        .limit(1)
    )
    return session.execute(statement).scalar_one_or_none()


def count_generators(session: Session, tenant_id: UUID, *, model_version: str) -> dict[str, GeneratorUse]:
    """The tenant's images that the model attributed to each generator, with their median p-value."""
    later = aliased(Attribution)
    judged_later = exists().where(
        later.image_id == Attribution.image_id,
        later.model_version == model_version,
        later.id > Attribution.id,
    )
    median = func.percentile_cont(0.5).within_group(Attribution.p_value)
    statement = (
        select(Attribution.generator, func.count(), median)
        .where(
            Attribution.tenant_id == tenant_id,
            Attribution.model_version == model_version,
            Attribution.generator.is_not(None),
            Attribution.verdict == "generator",
            ~judged_later,
        )
        .group_by(Attribution.generator)
    )
    return {
        str(generator): GeneratorUse(images=count, median_p_value=middle)
        for generator, count, middle in session.execute(statement)
    }


def _is_alive() -> ColumnElement[bool]:
    return Worker.seen_at > func.now() - timedelta(seconds=HEARTBEAT_SECONDS * MISSED_HEARTBEATS)


def _density_seen_at(session: Session, model_version: str) -> datetime | None:
    activated = select(DensityVersion.activated_at).where(
        DensityVersion.model_version == model_version,
        DensityVersion.state == "active",
        DensityVersion.tenant_id.is_(None),
    )
    activated_at = session.execute(activated).scalar_one_or_none()
    if activated_at is None:
        return None
    looked = select(func.max(Refit.at)).where(Refit.model_version == model_version)
    looked_at: datetime | None = session.execute(looked).scalar_one()
    return max(activated_at, looked_at) if looked_at else activated_at
