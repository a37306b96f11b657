"""What the sweeper finds and mends: leases of dead workers, messages that were lost, batches that nobody finished.

A shard whose worker died is queued again; after two deaths it is cut in half, so that an image which kills its worker
ends up alone in a shard, where it is failed once the cap is reached. Knows nothing of the broker.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from leaktrace.records.leases import WORKABLE_STATES, drop_shard, finish_shard, requeue
from leaktrace.records.models import Batch, Item, Shard, Worker

SPLIT_AFTER_DEATHS = 2
# Half of a shard that was split is under suspicion already, so the next death splits it again at once.
DEATHS_AFTER_SPLIT = SPLIT_AFTER_DEATHS - 1
UNFINISHED_STATES = ("queued", "in_progress", "finalizing", "cancelling")
FORGET_WORKER_AFTER = timedelta(days=1)
WORKER_LOST = "worker_lost"


def find_expired_leases(session: Session, *, limit: int) -> list[UUID]:
    """Shards whose lease ran out, longest ago first."""
    statement = (
        select(Shard.id)
        .where(Shard.state == "leased", Shard.lease_expires_at < func.now())
        .order_by(Shard.lease_expires_at)
        .limit(limit)
    )
    return list(session.scalars(statement))


def recover_shard(session: Session, shard_id: UUID, *, max_attempts: int) -> list[UUID]:
    """Take a shard back from its dead worker; returns the shards to send. Does nothing when it is being saved now."""
    batch_id = select(Shard.batch_id).where(Shard.id == shard_id).scalar_subquery()
    batch = session.execute(select(Batch).where(Batch.id == batch_id).with_for_update()).scalar_one_or_none()
    shard = _lock_expired(session, shard_id)
    if batch is None or shard is None:
        return []
    if batch.state not in WORKABLE_STATES:
        drop_shard(session, shard)
        return []
    item_ids = _take_items_back(session, shard_id)
    if len(item_ids) > 1 and shard.attempts >= SPLIT_AFTER_DEATHS:
        return _split(session, shard, item_ids=item_ids)
    if len(item_ids) > 1 or (item_ids and shard.attempts < max_attempts):
        requeue(shard, attempts=shard.attempts)
        return [shard.id]
    _fail_lost(session, shard)
    return []


def count_queued(session: Session) -> int:
    """Shards that should each have a message in the broker."""
    return session.execute(
        select(func.count()).select_from(Shard).where(Shard.state == "queued")
    ).scalar_one()


def take_unsent(session: Session, *, limit: int, older_than_seconds: float) -> list[UUID]:
    """Up to `limit` queued shards that were sent longest ago, noted as sent now; the caller sends them."""
    overdue = func.now() - timedelta(seconds=older_than_seconds)
    chosen = (
        select(Shard.id)
        .where(Shard.state == "queued", Shard.enqueued_at < overdue)
        .order_by(Shard.enqueued_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    shard_ids = list(session.scalars(chosen))
    session.execute(update(Shard).where(Shard.id.in_(shard_ids)).values(enqueued_at=func.now()))
    return shard_ids


def find_unfinished(session: Session, *, limit: int) -> list[UUID]:
    """Batches that have no unfinished shard and yet were not finished."""
    open_shard = exists().where(Shard.batch_id == Batch.id, Shard.state != "done")
    statement = select(Batch.id).where(Batch.state.in_(UNFINISHED_STATES), ~open_shard).limit(limit)
    return list(session.scalars(statement))


def forget_dead_workers(session: Session) -> None:
    """Remove workers that were not seen for a day."""
    session.execute(delete(Worker).where(Worker.seen_at < func.now() - FORGET_WORKER_AFTER))


def _lock_expired(session: Session, shard_id: UUID) -> Shard | None:
    # SKIP LOCKED: whoever saves this shard just now holds it and will want the batch, which we hold.
    statement = select(Shard).where(
        Shard.id == shard_id, Shard.state == "leased", Shard.lease_expires_at < func.now()
    )
    return session.execute(statement.with_for_update(skip_locked=True)).scalar_one_or_none()


def _take_items_back(session: Session, shard_id: UUID) -> list[UUID]:
    statement = (
        update(Item)
        .where(Item.shard_id == shard_id, Item.state == "running")
        .values(state="pending")
        .returning(Item.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(session.scalars(statement))


def _split(session: Session, shard: Shard, *, item_ids: list[UUID]) -> list[UUID]:
    middle = len(item_ids) // 2
    row = {"tenant_id": shard.tenant_id, "batch_id": shard.batch_id, "attempts": DEATHS_AFTER_SPLIT}
    halves = list(session.scalars(insert(Shard).returning(Shard.id), [row, row]))
    for half_id, members in zip(halves, (item_ids[:middle], item_ids[middle:]), strict=True):
        session.execute(update(Item).where(Item.id.in_(members)).values(shard_id=half_id))
    finish_shard(session, shard)
    return halves


def _fail_lost(session: Session, shard: Shard) -> None:
    detail = (
        f"The worker died each of the {shard.attempts} times it attributed this image; it is not tried again."
    )
    session.execute(
        update(Item)
        .where(Item.shard_id == shard.id, Item.state == "pending")
        .values(state="failed", error_code=WORKER_LOST, error_detail=detail, finished_at=func.now())
    )
    finish_shard(session, shard)
