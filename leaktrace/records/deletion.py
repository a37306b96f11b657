"""Deleting a finished batch: its items, and the images and attributions that no other item uses.

The caller deletes the objects of what is returned before it commits, so that a store that is away leaves the batch
as it was, to be deleted again. The audit trail keeps what was deleted, by whom and how much.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session, aliased

from leaktrace.errors import Conflict
from leaktrace.records.audit import record_audit
from leaktrace.records.batches import lock_batch, require_finished
from leaktrace.records.items import count_items, hold_tenant
from leaktrace.records.models import Batch, Image, Item, Shard


class BatchBusy(Conflict):
    """The batch is finished, but a worker has not let go of all of it."""

    code = "batch_busy"


@dataclass(frozen=True)
class Deleted:
    """Whose objects have to go: images by hash, staged uploads by item."""

    sha256s: list[str]
    staged_item_ids: list[UUID]


def delete_batch(session: Session, tenant_id: UUID, *, batch_id: UUID, actor: str) -> Deleted:
    """Delete the rows and say which objects belonged to them.

    Raises:
        BatchNotFound, WrongBatchState, BatchBusy: the batch is not there, or not finished.
    """
    hold_tenant(session, tenant_id)
    batch = lock_batch(session, tenant_id, batch_id=batch_id)
    require_finished(batch, "deleted")
    _require_idle(session, batch_id)
    items = count_items(session, [batch_id])[batch_id]["total"]
    staged = list(
        session.scalars(select(Item.id).where(Item.batch_id == batch_id, Item.staged_sha256.is_not(None)))
    )
    unshared = _unshared_images(session, tenant_id, batch_id=batch_id)
    session.execute(delete(Item).where(Item.batch_id == batch_id))
    session.execute(delete(Shard).where(Shard.batch_id == batch_id))
    session.execute(delete(Batch).where(Batch.id == batch_id))
    _delete_images(session, list(unshared))
    record_audit(
        session,
        "batch.deleted",
        tenant_id=tenant_id,
        actor=actor,
        subject=str(batch_id),
        items=items,
        images=len(unshared),
    )
    return Deleted(sha256s=list(unshared.values()), staged_item_ids=staged)


def _require_idle(session: Session, batch_id: UUID) -> None:
    # An expired batch may have shards that a worker holds for a moment longer. Whoever holds a batch must not wait
    # for those (see `leases`).
    held = exists().where(Shard.batch_id == batch_id, Shard.state == "leased")
    if session.execute(select(held)).scalar_one():
        raise BatchBusy("a worker still holds images of the batch; delete it again in a minute")


def _unshared_images(session: Session, tenant_id: UUID, *, batch_id: UUID) -> dict[UUID, str]:
    """Images of this batch alone: id -> hash. Locked first, so that no worker can begin to share one meanwhile."""
    ours = select(Item.image_id).where(Item.batch_id == batch_id)
    owned = (Image.tenant_id == tenant_id, Image.id.in_(ours))
    session.execute(select(Image.id).where(*owned).order_by(Image.id).with_for_update())
    other = aliased(Item)
    shared = exists().where(other.image_id == Image.id, other.batch_id != batch_id)
    return {row[0]: row[1] for row in session.execute(select(Image.id, Image.sha256).where(*owned, ~shared))}


def _delete_images(session: Session, image_ids: list[UUID], *, at_once: int = 10_000) -> None:
    for start in range(0, len(image_ids), at_once):
        session.execute(delete(Image).where(Image.id.in_(image_ids[start : start + at_once])))
