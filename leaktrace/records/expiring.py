"""What ends by the clock: batches that were not finished in time, and idempotency keys.

A batch expires in two transactions: first the batch and what is queued, then the shards that workers hold, because
whoever holds a batch may not wait for a leased shard (see `leases`). A worker that held one finds its lease lost.
"""

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from leaktrace.records.audit import record_audit
from leaktrace.records.leases import drop_shard
from leaktrace.records.models import Batch, IdempotencyKey, Item, Shard
from leaktrace.records.shards import end_batch

EXPIRING_STATES = ("uploading", "validating", "queued", "in_progress", "finalizing", "cancelling")


def find_overdue(session: Session, *, limit: int) -> list[UUID]:
    """Unfinished batches past their `expires_at`."""
    statement = (
        select(Batch.id)
        .where(Batch.state.in_(EXPIRING_STATES), Batch.expires_at < func.now())
        .order_by(Batch.expires_at)
        .limit(limit)
    )
    return list(session.scalars(statement))


def expire_batch(session: Session, batch_id: UUID) -> bool:
    """Let the batch enter `expired` and cancel what no worker holds; False when it was finished meanwhile."""
    batch = session.execute(select(Batch).where(Batch.id == batch_id).with_for_update()).scalar_one_or_none()
    if batch is None or batch.state not in EXPIRING_STATES:
        return False
    session.execute(
        update(Shard)
        .where(Shard.batch_id == batch_id, Shard.state == "queued")
        .values(state="done", finished_at=func.now())
    )
    session.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.state == "pending")
        .values(state="cancelled", finished_at=func.now())
    )
    end_batch(session, batch, state="expired")
    record_audit(session, "batch.expired", tenant_id=batch.tenant_id, actor="system", subject=str(batch_id))
    return True


def find_expired_holders(session: Session, *, limit: int) -> list[UUID]:
    """Shards that workers still hold of batches that have expired."""
    statement = (
        select(Shard.id)
        .join(Batch, Batch.id == Shard.batch_id)
        .where(Batch.state == "expired", Shard.state == "leased")
        .limit(limit)
    )
    return list(session.scalars(statement))


def drop_expired(session: Session, shard_id: UUID) -> None:
    """Take the shard from its worker and cancel its items."""
    statement = select(Shard).where(Shard.id == shard_id, Shard.state == "leased").with_for_update()
    shard = session.execute(statement).scalar_one_or_none()
    if shard is not None:
        drop_shard(session, shard)


def purge_idempotency_keys(session: Session) -> int:
    """Remove stored answers that are no longer promised; returns how many."""
    expired = delete(IdempotencyKey).where(IdempotencyKey.expires_at < func.now())
    return len(session.scalars(expired.returning(IdempotencyKey.key)).all())
