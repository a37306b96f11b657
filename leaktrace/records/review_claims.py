"""Claims of the review queue: how an image is kept for one reviewer, decided, given back, and taken up again.

A claim keeps an image until it expires. Whoever claims, decides or takes back holds the image's row while doing so, and
looks only then whether it is still open, so that no two people are given the same image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, defer

from leaktrace.errors import Conflict
from leaktrace.records.labels import LabelNotFound, NewLabel, add_label, standing_of, stands
from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.open_set_models import Label, ReviewClaim
from leaktrace.records.results import ResultRow
from leaktrace.records.review_queue import TURNS, Wanted, is_appealed, is_unjudged, open_images

SKIP = timedelta(hours=12)  # for so long a reviewer is not given again what they skipped


class ClaimLost(Conflict):
    """The image is no longer yours to decide: the claim expired and somebody else has it, or it has been judged."""

    code = "claim_lost"


@dataclass(frozen=True)
class Reviewer:
    """Who reviews, and how long an image is kept for them."""

    tenant_id: UUID
    actor: str
    lease: timedelta


@dataclass(frozen=True)
class Claimed:
    """A claim, and its image as a result of the newest batch that shows it."""

    claim: ReviewClaim
    row: ResultRow


def claim_images(session: Session, reviewer: Reviewer, *, wanted: Wanted, limit: int) -> list[Claimed]:
    """Keep up to `limit` images for the reviewer, in the order of the queue."""
    claims: list[UUID] = []
    for turn in TURNS if wanted.turn is None else (wanted.turn,):
        while len(claims) < limit:
            locked = _lock_next(session, reviewer, wanted=wanted, turn=turn, limit=limit - len(claims))
            if not locked:
                break
            claims += _keep(session, reviewer, image_ids=locked)
    return read_claims(session, reviewer, claim_ids=claims)


def read_claims(session: Session, reviewer: Reviewer, *, claim_ids: Sequence[UUID]) -> list[Claimed]:
    """The reviewer's claims with their images, in the order of `claim_ids`; what was lost meanwhile is left out."""
    seen, item = aliased(Attribution), aliased(Item)
    newest = select(seen.id).where(seen.image_id == ReviewClaim.image_id).order_by(seen.id.desc()).limit(1)
    of_image = (item.image_id == ReviewClaim.image_id, item.state == "succeeded")
    shown = select(item.id).where(*of_image).order_by(item.id.desc()).limit(1)
    statement = (
        select(ReviewClaim, Item, Image, Attribution)
        .join(Image, Image.id == ReviewClaim.image_id)
        .join(Attribution, Attribution.id == newest.scalar_subquery())
        .join(Item, Item.id == shown.scalar_subquery())
        .options(defer(Attribution.embedding))
        .where(ReviewClaim.id.in_(claim_ids), ReviewClaim.tenant_id == reviewer.tenant_id)
    )
    rows = session.execute(statement.execution_options(populate_existing=True)).all()
    standings = standing_of(session, reviewer.tenant_id, [image.sha256 for _, _, image, _ in rows])
    found = {
        claim.id: Claimed(claim, (item, image, attribution, standings.get(image.sha256)))
        for claim, item, image, attribution in rows
    }
    return [found[claim_id] for claim_id in claim_ids if claim_id in found]


def renew_claim(session: Session, reviewer: Reviewer, *, claim_id: UUID) -> Claimed:
    """Keep the image longer, or take back that it was skipped.

    Raises:
        ClaimLost: somebody else has the image now, or it has been judged.
    """
    claim = _lock_claim(session, reviewer, claim_id=claim_id, skipped=True)
    if claim.skipped_at is not None:
        session.delete(claim)
        session.flush()
        (renewed,) = _keep(session, reviewer, image_ids=[claim.image_id]) or (None,)
        if renewed is None:
            raise ClaimLost("somebody else has the image now")
        claim_id = renewed
    else:
        claim.expires_at = func.now() + reviewer.lease
        session.flush()
    (claimed,) = read_claims(session, reviewer, claim_ids=[claim_id])
    return claimed


def release_claim(session: Session, reviewer: Reviewer, *, claim_id: UUID, skip: bool) -> None:
    """Give the image back; with `skip` this reviewer is given others first. Does nothing to a claim that was lost."""
    mine = and_(
        ReviewClaim.id == claim_id,
        ReviewClaim.tenant_id == reviewer.tenant_id,
        ReviewClaim.actor == reviewer.actor,
        ReviewClaim.skipped_at.is_(None),
    )
    if skip:
        session.execute(update(ReviewClaim).where(mine).values(skipped_at=func.now()))
    else:
        session.execute(delete(ReviewClaim).where(mine))


def decide(session: Session, reviewer: Reviewer, *, claim_id: UUID, said: NewLabel) -> Label:
    """Label the claimed image, which leaves the queue.

    Raises:
        ClaimLost, NothingToConfirm
    """
    claim = _lock_claim(session, reviewer, claim_id=claim_id)
    label = add_label(session, reviewer.tenant_id, image_id=claim.image_id, said=said, actor=reviewer.actor)
    session.delete(claim)
    session.flush()
    return label


def undo_decision(session: Session, reviewer: Reviewer, *, label_id: UUID, reason: str) -> Claimed:
    """Take back what the reviewer said, and give them the image again.

    Raises:
        LabelNotFound: the reviewer said nothing under this id, or the image was deleted.
        AlreadyWithdrawn: it was taken back before.
        ClaimLost: somebody else has the image now.
    """
    statement = (
        select(Image.id)
        .join(Label, and_(Label.tenant_id == Image.tenant_id, Label.sha256 == Image.sha256))
        .where(Label.id == label_id, Label.tenant_id == reviewer.tenant_id, Label.actor == reviewer.actor)
    )
    image_id = session.scalar(statement.with_for_update(of=Image, key_share=True))
    if image_id is None:
        raise LabelNotFound(f"you said nothing under the id {label_id}")
    said = NewLabel("withdraw", reason, label_id=label_id)
    add_label(session, reviewer.tenant_id, image_id=image_id, said=said, actor=reviewer.actor)
    claimed = read_claims(session, reviewer, claim_ids=_keep(session, reviewer, image_ids=[image_id]))
    if not claimed:
        raise ClaimLost("it was taken back, but the image lies before somebody else, or another label stands")
    return claimed[0]


def last_step(session: Session, reviewer: Reviewer) -> tuple[str, UUID] | None:
    """What the reviewer did last, to be taken back: ("decision", label) or ("skip", claim)."""
    said = (
        select(literal("decision"), Label.id, Label.created_at)
        .where(
            Label.tenant_id == reviewer.tenant_id,
            Label.actor == reviewer.actor,
            Label.bulk_id.is_(None),
            Label.created_at > func.now() - SKIP,
            stands(Label),
        )
        .order_by(Label.id.desc())
        .limit(1)
    )
    skipped = (
        select(literal("skip"), ReviewClaim.id, ReviewClaim.skipped_at)
        .where(
            ReviewClaim.tenant_id == reviewer.tenant_id,
            ReviewClaim.actor == reviewer.actor,
            ReviewClaim.skipped_at > func.now() - SKIP,
        )
        .order_by(ReviewClaim.skipped_at.desc())
        .limit(1)
    )
    steps = [row for row in (session.execute(said).first(), session.execute(skipped).first()) if row]
    return max(((row[2], (row[0], row[1])) for row in steps), default=(None, None))[1]


def _lock_next(session: Session, reviewer: Reviewer, *, wanted: Wanted, turn: str, limit: int) -> list[UUID]:
    """Lock the next images that nobody has; what others have locked at this moment is passed over."""
    claim = aliased(ReviewClaim)
    taken = exists().where(
        claim.image_id == Image.id,
        or_(
            and_(claim.skipped_at.is_(None), claim.expires_at > func.now()),
            and_(claim.actor == reviewer.actor, claim.skipped_at > func.now() - SKIP),
        ),
    )
    statement = open_images(reviewer.tenant_id, wanted=wanted, turn=turn).where(~taken).limit(limit)
    return list(session.scalars(statement.with_for_update(of=Image, skip_locked=True, key_share=True)))


def _keep(session: Session, reviewer: Reviewer, *, image_ids: Sequence[UUID]) -> list[UUID]:
    """Claim the locked images that are open still and that no claim keeps; returns the claims' ids in that order.

    A statement of its own, so that it sees what others did before the rows were locked.
    """
    chosen = (
        select(Image.id, literal(reviewer.tenant_id), literal(reviewer.actor), func.now() + reviewer.lease)
        .where(Image.id.in_(image_ids), or_(is_unjudged(), is_appealed()))
        .order_by(func.array_position(list(image_ids), Image.id))
    )
    statement = insert(ReviewClaim).from_select(["image_id", "tenant_id", "actor", "expires_at"], chosen)
    kept = statement.on_conflict_do_update(
        index_elements=[ReviewClaim.image_id],
        index_where=ReviewClaim.skipped_at.is_(None),
        set_={
            "id": func.uuidv7(),
            "actor": statement.excluded.actor,
            "expires_at": statement.excluded.expires_at,
            "created_at": func.now(),
        },
        where=ReviewClaim.expires_at <= func.now(),
    ).returning(ReviewClaim.image_id, ReviewClaim.id)
    ids = dict(session.execute(kept).all())
    return [ids[image_id] for image_id in image_ids if image_id in ids]


def _lock_claim(
    session: Session, reviewer: Reviewer, *, claim_id: UUID, skipped: bool = False
) -> ReviewClaim:
    """The reviewer's claim, with its image's row locked first, as everywhere."""
    mine = (
        ReviewClaim.id == claim_id,
        ReviewClaim.tenant_id == reviewer.tenant_id,
        ReviewClaim.actor == reviewer.actor,
    )
    image = select(Image.id).join(ReviewClaim, ReviewClaim.image_id == Image.id).where(*mine)
    session.execute(image.with_for_update(of=Image, key_share=True))
    claim = session.execute(select(ReviewClaim).where(*mine).with_for_update()).scalar_one_or_none()
    if claim is None or (claim.skipped_at is not None and not skipped):
        raise ClaimLost("the image is no longer yours: it took too long, or you gave it back; take another")
    return claim
