"""Leases: how a worker takes a shard for itself, keeps it while it works, and gives it back.

A lease's `owner` is new for every claim, not for every worker, so that a result of an earlier claim can never pass for
one of the current claim. Lock order everywhere: the batch, then its shards, then items; whoever saves holds a leased
shard first and takes the batch last, so nobody who holds a batch may wait for a leased shard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from leaktrace.records.densities import density_in_force
from leaktrace.records.models import Attribution, Batch, Image, Item, Shard
from leaktrace.records.shards import enter_state, finish_batch_if_done

WORKABLE_STATES = ("queued", "in_progress")  # of a batch whose shards may be attributed


@dataclass(frozen=True)
class LeasedItem:
    """One item of a claimed shard. `attribution_id` is set when its image was judged before by what is in force."""

    item_id: UUID
    image_id: UUID | None  # None: a presigned upload that still has to be checked
    sha256: str
    attribution_id: UUID | None


@dataclass(frozen=True)
class Lease:
    """A claimed shard: what to work on, and the proof (`owner`) that it is still ours."""

    shard_id: UUID
    tenant_id: UUID
    batch_id: UUID
    owner: str
    attempts: int
    items: tuple[LeasedItem, ...]


def deaths_of(session: Session, shard_id: UUID) -> int:
    """How many earlier claims of the shard ended with the worker's death; 0 for an unknown shard."""
    return session.execute(select(Shard.attempts).where(Shard.id == shard_id)).scalar_one_or_none() or 0


def claim_shard(
    session: Session, shard_id: UUID, *, owner: str, lease_seconds: float, model_version: str
) -> Lease | None:
    """Take a queued shard; None when somebody else has or had it, or when its batch no longer wants it.

    The attempt is counted here, in a transaction of its own before any byte is read, so that an image which kills the
    process is counted too.
    """
    batch = _lock_batch_of(session, shard_id)
    shard = _lock_claimable(session, shard_id, owner=owner)
    if batch is None or shard is None:
        return None
    if batch.state not in WORKABLE_STATES:
        drop_shard(session, shard)
        return None
    if shard.state == "queued":
        _begin(session, batch, shard, owner=owner)
    shard.lease_expires_at = func.now() + timedelta(seconds=lease_seconds)
    session.flush()
    return Lease(
        shard_id=shard.id,
        tenant_id=shard.tenant_id,
        batch_id=shard.batch_id,
        owner=owner,
        attempts=shard.attempts,
        items=_running_items(session, shard_id, model_version=model_version, tenant_id=shard.tenant_id),
    )


def renew_leases(session: Session, leases: Sequence[Lease], *, lease_seconds: float) -> set[str]:
    """Extend the leases that are still held; returns the owners of those, so that what is missing is lost."""
    statement = (
        update(Shard)
        .where(
            Shard.id.in_([lease.shard_id for lease in leases]),
            Shard.lease_owner.in_([lease.owner for lease in leases]),
            Shard.state == "leased",
        )
        .values(lease_expires_at=func.now() + timedelta(seconds=lease_seconds))
        .returning(Shard.lease_owner)
        .execution_options(synchronize_session=False)
    )
    return {owner for owner in session.scalars(statement) if owner is not None}


def give_back(session: Session, shard: Shard) -> bool:
    """Queue what is unfinished in a shard that the caller holds as if it had never been claimed.

    False when its batch no longer wants it, so that there is nothing to send again.
    """
    batch = session.execute(select(Batch).where(Batch.id == shard.batch_id).with_for_update()).scalar_one()
    if batch.state not in WORKABLE_STATES:
        drop_shard(session, shard)
        return False
    requeue(shard, attempts=shard.attempts - 1)
    session.execute(
        update(Item)
        .where(Item.shard_id == shard.id, Item.state == "running")
        .values(state="pending", attempts=Item.attempts - 1)
        .execution_options(synchronize_session=False)
    )
    return True


def abandon_shard(session: Session, lease: Lease) -> None:
    """End the lease now, with the attempt counted: the sweeper treats the shard as that of a dead worker."""
    shard = lock_held(session, lease)
    if shard is not None:
        shard.lease_expires_at = func.now()


def lock_held(session: Session, lease: Lease) -> Shard | None:
    """The leased shard, locked; None when the lease was lost. Nothing may be saved without it."""
    statement = select(Shard).where(
        Shard.id == lease.shard_id, Shard.state == "leased", Shard.lease_owner == lease.owner
    )
    return session.execute(statement.with_for_update()).scalar_one_or_none()


def requeue(shard: Shard, *, attempts: int) -> None:
    """Make the shard claimable; the caller sends it once the transaction is committed."""
    shard.state, shard.lease_owner, shard.lease_expires_at = "queued", None, None
    shard.attempts, shard.enqueued_at = attempts, func.now()


def drop_shard(session: Session, shard: Shard) -> None:
    """Cancel what is unfinished in a shard whose batch was cancelled or has expired."""
    session.execute(
        update(Item)
        .where(Item.shard_id == shard.id, Item.state.in_(("pending", "running")))
        .values(state="cancelled", finished_at=func.now())
        .execution_options(synchronize_session=False)
    )
    finish_shard(session, shard)


def finish_shard(session: Session, shard: Shard) -> str | None:
    """Mark the shard done and, when it was its batch's last one, finish the batch; returns the state it entered."""
    shard.state, shard.lease_owner, shard.lease_expires_at = "done", None, None
    shard.finished_at = func.now()
    session.flush()
    return finish_batch_if_done(session, shard.batch_id)


def _lock_batch_of(session: Session, shard_id: UUID) -> Batch | None:
    batch_id = select(Shard.batch_id).where(Shard.id == shard_id).scalar_subquery()
    return session.execute(select(Batch).where(Batch.id == batch_id).with_for_update()).scalar_one_or_none()


def _lock_claimable(session: Session, shard_id: UUID, *, owner: str) -> Shard | None:
    # Ours already: the claim was committed, but the answer was lost with the connection and it is made again.
    ours = and_(Shard.state == "leased", Shard.lease_owner == owner)
    statement = select(Shard).where(Shard.id == shard_id, or_(Shard.state == "queued", ours))
    return session.execute(statement.with_for_update()).scalar_one_or_none()


def _begin(session: Session, batch: Batch, shard: Shard, *, owner: str) -> None:
    shard.state, shard.lease_owner, shard.attempts = "leased", owner, shard.attempts + 1
    session.execute(
        update(Item)
        .where(Item.shard_id == shard.id, Item.state == "pending")
        .values(state="running", attempts=Item.attempts + 1)
        .execution_options(synchronize_session=False)
    )
    if batch.state == "queued":
        enter_state(batch, "in_progress")


def _running_items(
    session: Session, shard_id: UUID, *, model_version: str, tenant_id: UUID
) -> tuple[LeasedItem, ...]:
    known = aliased(Image)  # the image that a presigned upload claims to be, when this tenant has it already
    statement = (
        select(Item.id, Item.image_id, func.coalesce(Image.sha256, Item.staged_sha256), Attribution.id)
        .outerjoin(Image, Image.id == Item.image_id)
        .outerjoin(known, and_(known.tenant_id == Item.tenant_id, known.sha256 == Item.staged_sha256))
        .outerjoin(
            Attribution,
            and_(
                Attribution.image_id == func.coalesce(Item.image_id, known.id),
                Attribution.model_version == model_version,
                Attribution.density_version == density_in_force(model_version, tenant_id),
            ),
        )
        .where(Item.shard_id == shard_id, Item.state == "running")
        .order_by(Item.id)
    )
    return tuple(LeasedItem(*row) for row in session.execute(statement))
