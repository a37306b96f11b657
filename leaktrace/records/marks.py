"""Marks: short texts that differ when what a page shows has changed, cheap enough to be read every second."""

import hashlib
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from leaktrace.records.batches import FINISHED_STATES
from leaktrace.records.items import count_items
from leaktrace.records.models import Batch

NEWEST = 100


def batches_mark(session: Session, tenant_id: UUID) -> str:
    """Of the tenant's newest batches: which there are, their states, and how far the unfinished ones are."""
    statement = select(Batch.id, Batch.state).where(Batch.tenant_id == tenant_id)
    rows = session.execute(statement.order_by(Batch.id.desc()).limit(NEWEST)).all()
    unfinished = [row.id for row in rows if row.state not in FINISHED_STATES]
    counts = count_items(session, unfinished)
    return digest([(str(row.id), row.state, sorted(counts.get(row.id, {}).items())) for row in rows])


def digest(facts: object) -> str:
    """A mark of facts that print the same when they are the same."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()
