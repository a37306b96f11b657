"""Recording what was uploaded, or is about to be posted, in one transaction for many files.

Composes the pieces of `items` and `usage`: hold the tenant, check that the batch takes uploads, judge each offer,
record the new ones, count them. Knows nothing of HTTP or of the object store.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leaktrace.records.batches import find_uploading_batch
from leaktrace.records.deletion import DELETED, PART_DELETED
from leaktrace.records.items import (
    Offer,
    Outcome,
    add_items,
    count_items,
    ensure_images,
    fill_staged_items,
    find_images,
    hold_tenant,
    judge_offers,
)
from leaktrace.records.models import AuditEvent
from leaktrace.records.tidying import TIDIED
from leaktrace.records.usage import find_quota, note_images

DELETING_ACTIONS = (DELETED, PART_DELETED, "uploads.dropped", TIDIED)


@dataclass(frozen=True)
class UploadLimits:
    """How many images a batch may hold, and a tenant without a quota of its own may submit in a day."""

    batch_images: int
    daily_images: int


def record_uploads(
    session: Session, tenant_id: UUID, *, batch_id: UUID, offers: Sequence[Offer], limits: UploadLimits
) -> list[Outcome]:
    """Record files whose bytes are stored; one outcome an offer, in their order.

    Raises:
        BatchNotFound, WrongBatchState: the batch is not there, or takes no more uploads.
    """
    hold_tenant(session, tenant_id)
    judged = _judge(session, tenant_id, batch_id=batch_id, offers=offers, limits=limits)
    pairs = list(zip(offers, judged, strict=True))
    arrived = [offer for offer, outcome in pairs if outcome is None or outcome.staged]
    images = ensure_images(session, tenant_id, offers=arrived)
    outcomes = _add(session, tenant_id, batch_id=batch_id, pairs=pairs, images=images)
    late = {
        outcome.item_id: images[offer.sha256]
        for offer, outcome in pairs
        if outcome is not None and outcome.staged and outcome.item_id is not None
    }
    fill_staged_items(session, item_images=late)
    return [replace(o, status="accepted", staged=False) if o.item_id in late else o for o in outcomes]


def record_promises(
    session: Session,
    tenant_id: UUID,
    *,
    batch_id: UUID,
    offers: Sequence[Offer],
    limits: UploadLimits,
    present: dict[str, UUID],
) -> list[Outcome]:
    """Record files that are present already or will be posted to the store; `staged` outcomes wait for their bytes."""
    hold_tenant(session, tenant_id)
    judged = _judge(session, tenant_id, batch_id=batch_id, offers=offers, limits=limits)
    pairs = list(zip(offers, judged, strict=True))
    return _add(session, tenant_id, batch_id=batch_id, pairs=pairs, images=present)


def find_unused(
    session: Session, tenant_id: UUID, *, offers: Sequence[Offer], outcomes: Sequence[Outcome]
) -> list[str]:
    """Hashes of refused offers that no image of the tenant has: their bytes were stored for nothing."""
    pairs = zip(offers, outcomes, strict=True)
    refused = {offer.sha256 for offer, outcome in pairs if outcome.status == "refused"}
    return sorted(refused - find_images(session, tenant_id, sha256s=refused).keys()) if refused else []


def count_deletions(session: Session, tenant_id: UUID) -> int:
    """How often objects of the tenant were deleted; when it grew, bytes stored before may have gone with them."""
    statement = select(func.count()).where(
        AuditEvent.tenant_id == tenant_id, AuditEvent.action.in_(DELETING_ACTIONS)
    )
    return session.execute(statement).scalar_one()


def _judge(
    session: Session, tenant_id: UUID, *, batch_id: UUID, offers: Sequence[Offer], limits: UploadLimits
) -> list[Outcome | None]:
    find_uploading_batch(session, tenant_id, batch_id=batch_id, hold=True)
    quota = find_quota(session, tenant_id, default_limit=limits.daily_images)
    room = limits.batch_images - count_items(session, [batch_id])[batch_id]["total"]
    return judge_offers(session, batch_id, offers=offers, quota=quota.remaining, room=room)


def _add(
    session: Session,
    tenant_id: UUID,
    *,
    batch_id: UUID,
    pairs: Sequence[tuple[Offer, Outcome | None]],
    images: dict[str, UUID],
) -> list[Outcome]:
    """Record an item for each offer that has no outcome yet, and give every offer its outcome."""
    new = [offer for offer, outcome in pairs if outcome is None]
    ids = add_items(session, tenant_id, batch_id=batch_id, offers=new, images=images)
    note_images(session, tenant_id, images=len(new))
    return [_settled(offer, outcome, ids=ids, staged=offer.sha256 not in images) for offer, outcome in pairs]


def _settled(offer: Offer, outcome: Outcome | None, *, ids: dict[str, UUID], staged: bool) -> Outcome:
    if outcome is None:
        return Outcome("accepted", item_id=ids[offer.custom_id], staged=staged)
    if outcome.status == "duplicate" and outcome.item_id is None:  # its first copy is in this very list
        return replace(outcome, item_id=ids[offer.custom_id], staged=staged)
    return outcome
