"""Batches as their owner sees them: made, found, listed, closed, cancelled, retried.

Every function takes the tenant and answers `BatchNotFound` for another tenant's batch, so that ids tell nothing.
Those that change a batch lock its row first: a close waits for uploads that are being recorded, and they for it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, NotFound
from leaktrace.records.models import Batch, Item, Shard
from leaktrace.records.shards import enter_state, finish_batch_if_done, form_shards

CLOSED_STATES = frozenset({"validating", "queued", "in_progress", "finalizing", "completed"})
CANCELLABLE_STATES = frozenset({"uploading", "validating", "queued", "in_progress", "finalizing"})
FINISHED_STATES = frozenset({"completed", "failed", "expired", "cancelled"})


class BatchNotFound(NotFound):
    """No batch of this tenant has the id; list the batches to see those there are."""

    code = "batch_not_found"

    def __init__(self, batch_id: UUID) -> None:
        super().__init__(f"there is no batch {batch_id}; GET /v1/batches lists those there are")
        self.batch_id = batch_id


class WrongBatchState(Conflict):
    """The batch is in a state that does not allow what was asked."""

    code = "wrong_batch_state"

    def __init__(self, batch: Batch, wanted: str, *, allowed: frozenset[str]) -> None:
        super().__init__(
            f"the batch is {batch.state} and cannot be {wanted}; it would have to be {' or '.join(sorted(allowed))}"
        )
        self.state = batch.state
        self.allowed = allowed


@dataclass(frozen=True)
class Retry:
    """What a retry concerns: how many failed items, by error code."""

    codes: dict[str, int]

    @property
    def count(self) -> int:
        """Items in total."""
        return sum(self.codes.values())


def create_batch(
    session: Session, tenant_id: UUID, *, name: str | None, details: dict[str, Any], expires_after_hours: int
) -> Batch:
    """Record an empty batch in state `uploading`."""
    expires_at = datetime.now(UTC) + timedelta(hours=expires_after_hours)
    batch = Batch(tenant_id=tenant_id, name=name, details=details, expires_at=expires_at)
    session.add(batch)
    session.flush()
    session.refresh(batch)
    return batch


def find_batch(session: Session, tenant_id: UUID, *, batch_id: UUID) -> Batch:
    """The tenant's batch.

    Raises:
        BatchNotFound: there is none of this tenant.
    """
    statement = select(Batch).where(Batch.id == batch_id, Batch.tenant_id == tenant_id)
    batch = session.execute(statement).scalar_one_or_none()
    if batch is None:
        raise BatchNotFound(batch_id)
    return batch


def find_uploading_batch(session: Session, tenant_id: UUID, *, batch_id: UUID, hold: bool = False) -> Batch:
    """The tenant's batch, which must take uploads; `hold` keeps it from being closed until the transaction ends."""
    statement = select(Batch).where(Batch.id == batch_id, Batch.tenant_id == tenant_id)
    batch = session.execute(statement.with_for_update(read=True) if hold else statement).scalar_one_or_none()
    if batch is None:
        raise BatchNotFound(batch_id)
    _require(batch, frozenset({"uploading"}), "given more images")
    return batch


def list_batches(
    session: Session, tenant_id: UUID, *, limit: int, state: str | None = None, before: UUID | None = None
) -> list[Batch]:
    """Newest first; `before` is the id of the last one of the page before."""
    statement = select(Batch).where(Batch.tenant_id == tenant_id).order_by(Batch.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Batch.state == state)
    if before is not None:
        statement = statement.where(Batch.id < before)
    return list(session.scalars(statement))


def close_batch(
    session: Session, tenant_id: UUID, *, batch_id: UUID, shard_images: int
) -> tuple[Batch, list[UUID]]:
    """Take no more images and cut what there is into shards; returns the batch and the shards to enqueue.

    Closing a batch that is closed changes nothing, so that a lost answer can be asked for again.
    """
    batch = lock_batch(session, tenant_id, batch_id=batch_id)
    if batch.state in CLOSED_STATES:
        return batch, []
    _require(batch, frozenset({"uploading"}), "closed")
    enter_state(batch, "validating")
    shard_ids = form_shards(session, batch, shard_images=shard_images)
    enter_state(batch, "queued")
    session.flush()
    if not shard_ids:
        finish_batch_if_done(session, batch.id)
    session.flush()
    return batch, shard_ids


def cancel_batch(session: Session, tenant_id: UUID, *, batch_id: UUID) -> tuple[Batch, bool]:
    """Stop what no worker has begun; what is leased ends first. Returns the batch and whether anything changed."""
    batch = lock_batch(session, tenant_id, batch_id=batch_id)
    if batch.state in ("cancelling", "cancelled"):
        return batch, False
    _require(batch, CANCELLABLE_STATES, "cancelled")
    enter_state(batch, "cancelling")
    session.flush()
    _cancel_waiting(session, batch.id)
    finish_batch_if_done(session, batch.id)
    session.flush()
    return batch, True


def preview_retry(session: Session, tenant_id: UUID, *, batch_id: UUID) -> Retry:
    """What `retry_failed` would do now."""
    batch = find_batch(session, tenant_id, batch_id=batch_id)
    _require(batch, frozenset({"completed"}), "retried")
    return _failed_codes(session, batch.id)


def retry_failed(
    session: Session, tenant_id: UUID, *, batch_id: UUID, shard_images: int, expires_after_hours: int
) -> tuple[Retry, list[UUID]]:
    """Make the failed items of a completed batch pending again; returns what was done and the shards to enqueue."""
    batch = lock_batch(session, tenant_id, batch_id=batch_id)
    _require(batch, frozenset({"completed"}), "retried")
    retry = _failed_codes(session, batch.id)
    if retry.count == 0:
        return retry, []
    afresh = {"state": "pending", "error_code": None, "error_detail": None, "attempts": 0}
    session.execute(
        update(Item)
        .where(Item.batch_id == batch.id, Item.state == "failed")
        .values(**afresh, shard_id=None, finished_at=None)
        .execution_options(synchronize_session=False)
    )
    shard_ids = form_shards(session, batch, shard_images=shard_images)
    batch.expires_at = datetime.now(UTC) + timedelta(hours=expires_after_hours)
    enter_state(batch, "queued")
    session.flush()
    return retry, shard_ids


def lock_batch(session: Session, tenant_id: UUID, *, batch_id: UUID) -> Batch:
    """The tenant's batch, its row locked until the transaction ends."""
    statement = select(Batch).where(Batch.id == batch_id, Batch.tenant_id == tenant_id).with_for_update()
    batch = session.execute(statement).scalar_one_or_none()
    if batch is None:
        raise BatchNotFound(batch_id)
    return batch


def require_finished(batch: Batch, wanted: str) -> None:
    """Raise `WrongBatchState` while anything may still happen to the batch."""
    _require(batch, FINISHED_STATES, wanted)


def _require(batch: Batch, allowed: frozenset[str], wanted: str) -> None:
    if batch.state not in allowed:
        raise WrongBatchState(batch, wanted, allowed=allowed)


def _cancel_waiting(session: Session, batch_id: UUID) -> None:
    # A worker that is claiming a shard holds its row and waits for the batch's, which the caller holds: skipping
    # such shards, and their items, is what keeps the two from waiting for each other.
    queued = select(Shard.id).where(Shard.batch_id == batch_id, Shard.state == "queued")
    session.execute(
        update(Shard)
        .where(Shard.id.in_(queued.with_for_update(skip_locked=True)))
        .values(state="done", finished_at=func.now())
        .execution_options(synchronize_session=False)
    )
    done = select(Shard.id).where(Shard.batch_id == batch_id, Shard.state == "done")
    session.execute(
        update(Item)
        .where(
            Item.batch_id == batch_id,
            Item.state == "pending",
            or_(Item.shard_id.is_(None), Item.shard_id.in_(done)),
        )
        .values(state="cancelled", finished_at=func.now())
        .execution_options(synchronize_session=False)
    )


def _failed_codes(session: Session, batch_id: UUID) -> Retry:
    statement = (
        select(Item.error_code, func.count())
        .where(Item.batch_id == batch_id, Item.state == "failed")
        .group_by(Item.error_code)
        .order_by(func.count().desc(), Item.error_code)
    )
    return Retry(codes={str(code): count for code, count in session.execute(statement)})
