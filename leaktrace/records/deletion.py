"""Deleting a finished batch: accepted at once, then done part by part, with the images that no other item uses.

A part is one transaction, so a deletion that is broken off goes on where it stood. The caller deletes the objects of a
part before it commits, so that a store that is away leaves the rows to be deleted again. The audit trail keeps what was
deleted, by whom and how much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, cast, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from leaktrace.errors import Conflict
from leaktrace.records.audit import record_audit
from leaktrace.records.batches import lock_batch, require_finished
from leaktrace.records.items import hold_tenant
from leaktrace.records.models import AuditEvent, Batch, Image, Item, Shard
from leaktrace.records.shards import enter_state

DELETED, PART_DELETED = "batch.deleted", "batch.part_deleted"  # what uploads that run meanwhile look for


class BatchBusy(Conflict):
    """The batch is finished, but a worker has not let go of all of it."""

    code = "batch_busy"


@dataclass(frozen=True)
class DeletedPart:
    """Whose objects have to go (images by hash, staged uploads by item), and whether it was the last part."""

    tenant_id: UUID
    sha256s: list[str]
    staged_item_ids: list[UUID]
    is_last: bool


def accept_deletion(session: Session, tenant_id: UUID, *, batch_id: UUID, actor: str) -> Batch:
    """Let the batch enter `deleting`, from where there is no way back. Twice is harmless.

    Raises:
        BatchNotFound, WrongBatchState, BatchBusy: the batch is not there, or not finished.
    """
    batch = lock_batch(session, tenant_id, batch_id=batch_id)
    if batch.state == "deleting":
        return batch
    require_finished(batch, "deleted")
    _require_idle(session, batch_id)
    enter_state(batch, "deleting")
    batch.deleted_by = actor
    session.flush()
    session.refresh(batch)
    return batch


def find_deleting(session: Session) -> list[UUID]:
    """Batches whose deletion was accepted, the earliest first."""
    statement = select(Batch.id).where(Batch.state == "deleting").order_by(Batch.deleting_at)
    return list(session.scalars(statement))


def delete_part(session: Session, batch_id: UUID, *, items_at_once: int) -> DeletedPart | None:
    """Delete that many items, and with the last ones the batch; None when it is gone already."""
    batch = session.get(Batch, batch_id)
    if batch is None:
        return None
    hold_tenant(session, batch.tenant_id)
    statement = select(Batch).where(Batch.id == batch_id, Batch.state == "deleting").with_for_update()
    batch = session.execute(statement).scalar_one_or_none()
    if batch is None:
        return None
    chosen = select(Item).where(Item.batch_id == batch_id).order_by(Item.id).limit(items_at_once)
    items = list(session.scalars(chosen))
    unshared = _unshared_images(session, batch.tenant_id, items=items)
    session.execute(delete(Item).where(Item.id.in_([item.id for item in items])))
    session.execute(delete(Image).where(Image.id.in_(list(unshared))))
    part = DeletedPart(
        tenant_id=batch.tenant_id,
        sha256s=list(unshared.values()),
        staged_item_ids=[item.id for item in items if item.staged_sha256 is not None],
        is_last=len(items) < items_at_once,
    )
    counts = {"items": len(items), "images": len(unshared)}
    if part.is_last:
        before = _deleted_before(session, batch)
        _record(session, batch, DELETED, **{name: before[name] + count for name, count in counts.items()})
        session.execute(delete(Shard).where(Shard.batch_id == batch_id))
        session.execute(delete(Batch).where(Batch.id == batch_id))
    else:
        _record(session, batch, PART_DELETED, **counts)
    return part


def _require_idle(session: Session, batch_id: UUID) -> None:
    # An expired batch may have shards that a worker holds for a moment longer. Whoever holds a batch must not wait
    # for those (see `leases`).
    held = exists().where(Shard.batch_id == batch_id, Shard.state == "leased")
    if session.execute(select(held)).scalar_one():
        raise BatchBusy("a worker still holds images of the batch; delete it again in a minute")


def _unshared_images(session: Session, tenant_id: UUID, *, items: Sequence[Item]) -> dict[UUID, str]:
    """Images of these items alone: id -> hash. Locked first, so that no worker can begin to share one meanwhile."""
    owned = (Image.tenant_id == tenant_id, Image.id.in_({item.image_id for item in items if item.image_id}))
    session.execute(select(Image.id).where(*owned).order_by(Image.id).with_for_update())
    other = aliased(Item)
    shared = exists().where(other.image_id == Image.id, other.id.not_in([item.id for item in items]))
    return {row[0]: row[1] for row in session.execute(select(Image.id, Image.sha256).where(*owned, ~shared))}


def _deleted_before(session: Session, batch: Batch) -> dict[str, int]:
    """What the earlier parts took away."""

    def total(name: str) -> Any:
        return func.coalesce(func.sum(cast(AuditEvent.details[name].astext, BigInteger)), 0)

    statement = select(total("items"), total("images")).where(
        AuditEvent.tenant_id == batch.tenant_id,
        AuditEvent.action == PART_DELETED,
        AuditEvent.subject == str(batch.id),
    )
    items, images = session.execute(statement).one()
    return {"items": int(items), "images": int(images)}


def _record(session: Session, batch: Batch, action: str, **counts: int) -> None:
    actor = batch.deleted_by or "system"
    record_audit(session, action, tenant_id=batch.tenant_id, actor=actor, subject=str(batch.id), **counts)
