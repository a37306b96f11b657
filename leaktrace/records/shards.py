"""Shards: how the pending items of a batch are cut into messages, and when a batch is done.

`form_shards` is what closing and retrying share; `finish_batch_if_done` is what saving, cancelling and sweeping share;
`end_batch` is what they and expiry share.
Both run in the caller's transaction.
"""

from uuid import UUID

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.orm import Session

from leaktrace.records.events import announce
from leaktrace.records.items import count_items
from leaktrace.records.models import Batch, Item, Shard


def form_shards(session: Session, batch: Batch, *, shard_images: int) -> list[UUID]:
    """Cut the batch's pending items that are in no shard into shards of at most `shard_images`; returns their ids."""
    place = (func.row_number().over(order_by=Item.id) - 1) // shard_images
    loose = (
        select(Item.id, place.label("place"))
        .where(Item.batch_id == batch.id, Item.state == "pending", Item.shard_id.is_(None))
        .cte("loose")
    )
    shards_needed = session.execute(select(func.coalesce(func.max(loose.c.place) + 1, 0))).scalar_one()
    if shards_needed == 0:
        return []
    rows = [{"tenant_id": batch.tenant_id, "batch_id": batch.id}] * int(shards_needed)
    shard_ids = list(session.scalars(insert(Shard).returning(Shard.id), rows))
    chosen = (
        select(func.unnest(shard_ids).label("id"), func.generate_series(0, len(shard_ids) - 1).label("place"))
    ).cte("chosen")
    session.execute(
        update(Item)
        .where(Item.id == loose.c.id, loose.c.place == chosen.c.place)
        .values(shard_id=chosen.c.id)
        .execution_options(synchronize_session=False)
    )
    return shard_ids


def finish_batch_if_done(session: Session, batch_id: UUID) -> str | None:
    """Complete (or, when it is being cancelled, cancel) the batch if none of its shards is unfinished.

    The batch row is locked first, so that of two workers that save the last two shards at once the second sees both.
    Returns the state entered, None when nothing changed.
    """
    batch = session.execute(select(Batch).where(Batch.id == batch_id).with_for_update()).scalar_one_or_none()
    if batch is None or batch.state not in ("queued", "in_progress", "finalizing", "cancelling"):
        return None
    if session.execute(
        select(exists().where(Shard.batch_id == batch_id, Shard.state != "done"))
    ).scalar_one():
        return None
    if batch.state == "cancelling":
        return end_batch(session, batch, state="cancelled")
    enter_state(batch, "finalizing")
    return end_batch(session, batch, state="completed")


def end_batch(session: Session, batch: Batch, *, state: str) -> str:
    """Let the batch enter a final state and announce it, with its counts at that moment."""
    enter_state(batch, state)
    session.flush()
    counts = count_items(session, [batch.id])[batch.id]
    data = {"batch_id": str(batch.id), "name": batch.name, "state": state, "counts": counts}
    announce(session, batch.tenant_id, "batch.finished", data)
    return state


def enter_state(batch: Batch, state: str) -> str:
    """Set the state and its timestamp (a retry that completes again overwrites the earlier one)."""
    batch.state = state
    setattr(batch, f"{state}_at", func.now())
    return state
