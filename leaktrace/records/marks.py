"""Marks: short texts that differ when what a page shows has changed, cheap enough to be read every second."""

import hashlib
from datetime import timedelta
from time import time
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from leaktrace.records.batches import FINISHED_STATES
from leaktrace.records.items import count_items
from leaktrace.records.models import Attribution, Batch, Shard, Worker

NEWEST = 100
SYSTEM_SECONDS = 10  # figures of the last hour change with time alone


def batches_mark(session: Session, tenant_id: UUID) -> str:
    """Of the tenant's newest and unfinished batches: which there are, their states, and how far the latter are."""
    own = Batch.tenant_id == tenant_id
    newest = select(Batch.id).where(own).order_by(Batch.id.desc()).limit(NEWEST)
    shown = or_(Batch.id.in_(newest), Batch.state.not_in(FINISHED_STATES))
    rows = session.execute(select(Batch.id, Batch.state).where(own, shown).order_by(Batch.id)).all()
    unfinished = [row.id for row in rows if row.state not in FINISHED_STATES]
    counts = count_items(session, unfinished)
    return digest([(str(row.id), row.state, sorted(counts.get(row.id, {}).items())) for row in rows])


def system_mark(session: Session, tenant_id: UUID) -> str:  # noqa: ARG001 - queue and workers are shared by all
    """Of the whole service: which workers live with which density, the newest answer, what waits, the time."""
    alive = select(Worker.id, Worker.density_version).where(
        Worker.seen_at > func.now() - timedelta(seconds=30)
    )
    waiting = select(func.count()).select_from(Shard).where(Shard.state != "done")
    newest = select(Attribution.id).order_by(Attribution.id.desc()).limit(1)
    workers = sorted(tuple(row) for row in session.execute(alive))
    facts = (session.scalar(waiting), session.scalar(newest), int(time() / SYSTEM_SECONDS))
    return digest((workers, facts))


def digest(facts: object) -> str:
    """A mark of facts that print the same when they are the same."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()
