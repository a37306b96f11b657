"""Items and their images as uploads record them: accepted, known already, or refused, each for itself.

What a tenant adds and what it deletes is serialised by one advisory lock (`hold_tenant`): quotas and limits are then
exact, and no image can be deleted between being found and being used. Bytes are stored before they are recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.models import ITEM_STATES, Image, Item

Status = Literal["accepted", "duplicate", "refused"]


@dataclass(frozen=True)
class Offer:
    """A file that a client gives, or promises to post, for one custom_id."""

    custom_id: str
    file_name: str | None
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Outcome:
    """What became of an offer. `staged` says that the item still waits for its bytes."""

    status: Status
    item_id: UUID | None = None
    staged: bool = False
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class _Known:
    item_id: UUID
    sha256: str | None
    staged: bool


def hold_tenant(session: Session, tenant_id: UUID) -> None:
    """Until the transaction ends, nobody else adds or deletes images of this tenant."""
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"tenant-images:{tenant_id}", 0)))
    )


def count_items(session: Session, batch_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Items of each batch by state, every state named, and their total."""
    counts = {batch_id: dict.fromkeys(("total", *ITEM_STATES), 0) for batch_id in batch_ids}
    statement = (
        select(Item.batch_id, Item.state, func.count())
        .where(Item.batch_id.in_(batch_ids))
        .group_by(Item.batch_id, Item.state)
    )
    for batch_id, state, count in session.execute(statement):
        counts[batch_id][state] = count
        counts[batch_id]["total"] += count
    return counts


def find_images(session: Session, tenant_id: UUID, *, sha256s: Iterable[str]) -> dict[str, UUID]:
    """The tenant's images with these hashes: hash -> id."""
    statement = select(Image.sha256, Image.id).where(
        Image.tenant_id == tenant_id, Image.sha256.in_(set(sha256s))
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def ensure_images(session: Session, tenant_id: UUID, *, offers: Sequence[Offer]) -> dict[str, UUID]:
    """Record images whose bytes are stored; hash -> id, also of those that were there."""
    sizes = {offer.sha256: offer.size_bytes for offer in offers}
    if not sizes:
        return {}
    # In the order of their hashes, so that two transactions never wait for each other.
    rows = [
        {"tenant_id": tenant_id, "sha256": sha256, "size_bytes": sizes[sha256]} for sha256 in sorted(sizes)
    ]
    session.execute(insert(Image).values(rows).on_conflict_do_nothing(index_elements=["tenant_id", "sha256"]))
    return find_images(session, tenant_id, sha256s=sizes)


def judge_offers(
    session: Session, batch_id: UUID, *, offers: Sequence[Offer], quota: int, room: int
) -> list[Outcome | None]:
    """Answer the offers that need no new item; None for each one that does and fits into quota and room.

    Under `hold_tenant`. An offer whose custom_id came earlier in the list is judged by what that one said.
    """
    known = _known_items(session, batch_id, custom_ids=[offer.custom_id for offer in offers])
    first_sha256: dict[str, str] = {}
    outcomes: list[Outcome | None] = []
    for offer in offers:
        item = known.get(offer.custom_id)
        earlier_sha256 = item.sha256 if item else first_sha256.get(offer.custom_id)
        if earlier_sha256 is None and min(quota, room) > 0:
            first_sha256[offer.custom_id] = offer.sha256
            quota, room = quota - 1, room - 1
            outcomes.append(None)
        elif earlier_sha256 is None:
            outcomes.append(_no_place(quota))
        elif earlier_sha256 != offer.sha256:
            outcomes.append(_other_content(offer.custom_id))
        else:
            outcomes.append(_repeated(item))
    return outcomes


def add_items(
    session: Session, tenant_id: UUID, *, batch_id: UUID, offers: Sequence[Offer], images: Mapping[str, UUID]
) -> dict[str, UUID]:
    """Record one item an offer; those whose hash is in `images` have their image, the others are staged."""
    if not offers:
        return {}
    rows = [
        {
            "tenant_id": tenant_id,
            "batch_id": batch_id,
            "custom_id": offer.custom_id,
            "file_name": offer.file_name,
            "image_id": images.get(offer.sha256),
            "staged_sha256": None if offer.sha256 in images else offer.sha256,
        }
        for offer in offers
    ]
    statement = insert(Item).values(rows).returning(Item.custom_id, Item.id)
    return {row[0]: row[1] for row in session.execute(statement)}


def fill_staged_items(session: Session, *, item_images: Mapping[UUID, UUID]) -> None:
    """Give staged items the image that has arrived another way."""
    for item_id, image_id in item_images.items():
        session.execute(
            update(Item)
            .where(Item.id == item_id, Item.image_id.is_(None))
            .values(image_id=image_id, staged_sha256=None)
        )


def _known_items(session: Session, batch_id: UUID, *, custom_ids: Sequence[str]) -> dict[str, _Known]:
    statement = (
        select(Item.custom_id, Item.id, Image.sha256, Item.staged_sha256)
        .outerjoin(Image, Item.image_id == Image.id)
        .where(Item.batch_id == batch_id, Item.custom_id.in_(set(custom_ids)))
    )
    return {
        custom_id: _Known(item_id=item_id, sha256=sha256 or staged_sha256, staged=sha256 is None)
        for custom_id, item_id, sha256, staged_sha256 in session.execute(statement)
    }


def _repeated(item: _Known | None) -> Outcome:
    if item is None:
        return Outcome("duplicate")
    return Outcome("duplicate", item_id=item.item_id, staged=item.staged)


def _other_content(custom_id: str) -> Outcome:
    detail = (
        f"the batch has other content under custom_id {custom_id!r}; give this file a custom_id of its own"
    )
    return Outcome("refused", code="duplicate_custom_id", detail=detail)


def _no_place(quota: int) -> Outcome:
    if quota <= 0:
        detail = "the daily quota of images is used up; send the file again when it is reset"
        return Outcome("refused", code="quota_exceeded", detail=detail)
    return Outcome("refused", code="batch_full", detail="the batch is full; put the file into another batch")
