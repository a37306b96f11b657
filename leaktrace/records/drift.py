"""What drift is looked for in, and what was found: windows of embeddings with a cap a tenant, golden images, findings.

No tenant fills a window: only its newest images up to the cap count. Knows nothing of how drift is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from leaktrace.records.base import first_id_at
from leaktrace.records.drift_models import DriftFinding, DriftRun
from leaktrace.records.events import announce
from leaktrace.records.examples import EXAMPLE_COLUMNS
from leaktrace.records.models import Attribution, Item
from leaktrace.records.readiness import find_serving_model
from leaktrace.records.rescore_models import RescoredItem

RUNS_IN_A_ROW = 2


@dataclass(frozen=True)
class WindowImage:
    """An image that was answered in a window of time."""

    tenant_id: UUID
    image_id: UUID
    embedding: Any
    gate: Any
    stratum: str | None


@dataclass(frozen=True)
class Window:
    """From when to when, and how many images count: of one tenant, and in all."""

    since: datetime
    until: datetime
    per_tenant: int
    images: int


def read_window(session: Session, model_version: str, *, window: Window) -> list[WindowImage]:
    """The newest images of the window, the oldest first, each once, and no more of a tenant than its cap.

    Images that were only judged again do not count: they were submitted long ago.
    """
    again = select(RescoredItem.after_id).where(RescoredItem.after_id == Attribution.id)
    by_tenant = func.row_number().over(partition_by=Attribution.tenant_id, order_by=Attribution.id.desc())
    numbered = (
        select(
            Attribution.id,
            Attribution.tenant_id,
            Attribution.image_id,
            by_tenant.label("number"),
        )
        .where(
            Attribution.model_version == model_version,
            # Ids are made in the order of time, and are indexed.
            Attribution.id >= first_id_at(window.since),
            Attribution.id < first_id_at(window.until),
            Attribution.gate.is_not(None),
            ~again.exists(),
        )
        .subquery()
    )
    statement = (
        select(Attribution.tenant_id, *EXAMPLE_COLUMNS)
        .join(numbered, numbered.c.id == Attribution.id)
        .where(numbered.c.number <= window.per_tenant)
        .order_by(Attribution.id.desc())
        .limit(window.images)
    )
    found = [WindowImage(*row) for row in session.execute(statement)]
    return list({image.image_id: image for image in reversed(found)}.values())


def read_golden(session: Session, batch_id: UUID, *, model_version: str, limit: int) -> list[tuple[str, Any]]:
    """Custom id and embedding of the images of a batch, in the order of their ids."""
    statement = (
        select(Item.custom_id, Attribution.embedding)
        .join(Attribution, Attribution.id == Item.attribution_id)
        .where(
            Item.batch_id == batch_id,
            Attribution.model_version == model_version,
            Attribution.embedding.is_not(None),
        )
        .order_by(Item.custom_id)
        .limit(limit)
    )
    return [(custom_id, embedding) for custom_id, embedding in session.execute(statement)]


def record_drift(
    session: Session,
    model_version: str,
    *,
    density_version: str,
    findings: Sequence[Mapping[str, Any]],
    details: Mapping[str, Any],
) -> list[DriftFinding]:
    """Append a run; returns its alarms that the run before had not, of which everybody is told.

    An alarm that stays is told once, so that one cause is one message.
    """
    standing = {(one.kind, one.subject) for one in find_alarms(session, latest_run(session, model_version))}
    run = DriftRun(model_version=model_version, density_version=density_version, details=dict(details))
    session.add(run)
    session.flush()
    if findings:
        session.execute(insert(DriftFinding), [{**finding, "run_id": run.id} for finding in findings])
    raised = [one for one in find_alarms(session, run) if (one.kind, one.subject) not in standing]
    for alarm in raised:
        data = {
            "kind": alarm.kind,
            "subject": alarm.subject or None,
            "reason": alarm.reason,
            "effect": alarm.effect,
            "bound": alarm.bound,
            "p_value": alarm.p_value,
            "model_version": model_version,
            "density_version": density_version,
        }
        announce(session, None, "drift.alarm", data)
    return raised


def latest_run(session: Session, model_version: str) -> DriftRun | None:
    """The newest look."""
    statement = select(DriftRun).where(DriftRun.model_version == model_version)
    return session.scalars(statement.order_by(DriftRun.id.desc()).limit(1)).first()


def latest_findings(session: Session) -> list[DriftFinding]:
    """What the newest look at the serving model found; nothing before there was one."""
    model = find_serving_model(session)
    run = latest_run(session, model.version) if model is not None else None
    return findings_of(session, run) if run is not None else []


def findings_of(session: Session, run: DriftRun) -> list[DriftFinding]:
    """All that a run found, alarms first."""
    order = (DriftFinding.alarm.desc(), DriftFinding.kind, DriftFinding.subject)
    return list(session.scalars(select(DriftFinding).where(DriftFinding.run_id == run.id).order_by(*order)))


def find_alarms(session: Session, run: DriftRun | None) -> list[DriftFinding]:
    """What a run raised; nothing without one."""
    return [one for one in findings_of(session, run) if one.alarm] if run is not None else []


def list_alarms(
    session: Session, model_version: str, *, limit: int, before: UUID | None = None
) -> list[tuple[DriftRun, DriftFinding]]:
    """Alarms of all runs, the newest run first; `before` begins behind a run."""
    runs = select(DriftFinding.run_id).where(DriftFinding.alarm).distinct()
    chosen = select(DriftRun.id).where(DriftRun.model_version == model_version, DriftRun.id.in_(runs))
    if before is not None:
        chosen = chosen.where(DriftRun.id < before)
    chosen = chosen.order_by(DriftRun.id.desc()).limit(limit)
    statement = (
        select(DriftRun, DriftFinding)
        .join(DriftFinding, DriftFinding.run_id == DriftRun.id)
        .where(DriftRun.id.in_(chosen), DriftFinding.alarm)
        .order_by(DriftRun.id.desc(), DriftFinding.kind, DriftFinding.subject)
    )
    return [(run, finding) for run, finding in session.execute(statement)]


def golden_drifts(session: Session, model_version: str, *, density_version: str) -> bool:
    """Whether the golden images raised an alarm in the two newest runs in a row, both by this density."""
    statement = select(DriftRun).where(DriftRun.model_version == model_version)
    newest = list(session.scalars(statement.order_by(DriftRun.id.desc()).limit(RUNS_IN_A_ROW)))
    return len(newest) == RUNS_IN_A_ROW and all(
        run.density_version == density_version
        and any(alarm.kind == "golden" for alarm in find_alarms(session, run))
        for run in newest
    )


def list_series(session: Session, model_version: str, *, runs: int) -> list[tuple[DriftRun, DriftFinding]]:
    """What the newest so many looks found, the oldest first, so that each test's way through time can be drawn."""
    newest = select(DriftRun.id).where(DriftRun.model_version == model_version)
    newest = newest.order_by(DriftRun.id.desc()).limit(runs)
    statement = (
        select(DriftRun, DriftFinding)
        .join(DriftFinding, DriftFinding.run_id == DriftRun.id)
        .where(DriftRun.id.in_(newest))
        .order_by(DriftRun.id, DriftFinding.kind, DriftFinding.subject)
    )
    return [(run, finding) for run, finding in session.execute(statement)]
