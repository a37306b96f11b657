"""What may go for its age: finished batches, quarantine entries, embeddings, looks at drift. Nothing goes unless asked.

What somebody built on stays whatever its age: examples of enrolled generators, what waits in the quarantine, and the
golden batch. Labels and the audit trail have no age.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.orm import QueryableAttribute, Session

from leaktrace.records.deletion import BatchBusy, accept_deletion
from leaktrace.records.drift_models import DriftRun
from leaktrace.records.enrolments import STANDING
from leaktrace.records.models import Attribution, Batch, Item
from leaktrace.records.open_set_models import EnrolledImage, Enrolment, QuarantinedImage

DRIFT_AGE = timedelta(days=90)


def delete_old_batches(session: Session, *, age: timedelta, kept: Sequence[UUID], limit: int) -> list[UUID]:
    """Accept the deletion of batches that ended that long ago; they go as if their tenant had asked."""
    ended = func.coalesce(Batch.completed_at, Batch.failed_at, Batch.expired_at, Batch.cancelled_at)
    example = exists().where(Item.batch_id == Batch.id, _is_example(Item.image_id))
    statement = (
        select(Batch)
        .where(
            Batch.state.in_(("completed", "failed", "expired", "cancelled")),
            ended < func.now() - age,
            Batch.id.not_in(kept),
            ~example,
        )
        .order_by(Batch.id)
        .limit(limit)
    )
    accepted = []
    for batch in session.scalars(statement).all():
        try:
            accept_deletion(session, batch.tenant_id, batch_id=batch.id, actor="retention")
        except BatchBusy:
            continue  # a worker lets go of it in a minute
        accepted.append(batch.id)
    return accepted


def drop_old_quarantine(session: Session, *, age: timedelta, limit: int) -> int:
    """Remove entries of that age, except those of enrolled generators; returns how many."""
    old = (
        select(QuarantinedImage.id)
        .where(QuarantinedImage.created_at < func.now() - age, QuarantinedImage.state != "enrolled")
        .order_by(QuarantinedImage.id)
        .limit(limit)
    )
    statement = delete(QuarantinedImage).where(QuarantinedImage.id.in_(old)).returning(QuarantinedImage.id)
    return len(session.scalars(statement).all())


def drop_old_embeddings(session: Session, *, age: timedelta, kept: Sequence[UUID], limit: int) -> int:
    """Empty the embeddings and gates of attributions of that age; answers and explanations stay. Returns how many."""
    held = exists().where(
        QuarantinedImage.attribution_id == Attribution.id, QuarantinedImage.state.in_(("held", "enrolled"))
    )
    golden = exists().where(Item.attribution_id == Attribution.id, Item.batch_id.in_(kept))
    old = (
        select(Attribution.id)
        .where(
            Attribution.created_at < func.now() - age,
            or_(Attribution.embedding.is_not(None), Attribution.gate.is_not(None)),
            ~held,
            ~golden,
            ~_is_example(Attribution.image_id),
        )
        .order_by(Attribution.id)
        .limit(limit)
    )
    statement = (
        update(Attribution)
        .where(Attribution.id.in_(old))
        .values(embedding=None, gate=None)
        .returning(Attribution.id)
        .execution_options(synchronize_session=False)
    )
    return len(session.scalars(statement).all())


def drop_old_drift_runs(session: Session) -> int:
    """Remove looks at drift older than 90 days; returns how many."""
    statement = delete(DriftRun).where(DriftRun.at < func.now() - DRIFT_AGE).returning(DriftRun.id)
    return len(session.scalars(statement).all())


def _is_example(image_id: QueryableAttribute[Any]) -> ColumnElement[bool]:
    """The image is an example of a generator that stands."""
    return exists().where(
        EnrolledImage.image_id == image_id,
        EnrolledImage.enrolment_id == Enrolment.id,
        Enrolment.state.in_(STANDING),
    )
