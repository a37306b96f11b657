"""Which images wait for a person, in what order: appeals first, then unseen, inconclusive, and named ones.

Nothing is queued: an image is in the queue because of what is recorded of it, and leaves it by a label. Knows nothing
of who looks at which image.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from leaktrace.records.labels import stands
from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.open_set_models import Label, ReviewClaim

TURNS = ("appeal", "unseen", "inconclusive", "generator")
COUNTED_UP_TO = 1_000


@dataclass(frozen=True)
class Wanted:
    """Which images; None leaves out nothing."""

    turn: str | None = None
    batch_id: UUID | None = None


def count_waiting(session: Session, tenant_id: UUID, *, wanted: Wanted) -> dict[str, int]:
    """How many images wait in each turn, counted up to 1,000, whoever has them."""
    counts = {}
    for turn in TURNS:
        some = open_images(tenant_id, wanted=wanted, turn=turn).limit(COUNTED_UP_TO).subquery()
        counts[turn] = session.execute(select(func.count()).select_from(some)).scalar_one()
    return counts


def open_images(tenant_id: UUID, *, wanted: Wanted, turn: str) -> Select[UUID]:
    """Ids of the images whose turn it is, the oldest attribution first."""
    statement = (
        select(Image.id)
        .join(Attribution, Attribution.image_id == Image.id)
        .where(Attribution.tenant_id == tenant_id, Image.tenant_id == tenant_id, is_newest(), _has_turn(turn))
        .order_by(Attribution.id)
    )
    if wanted.batch_id is not None:
        statement = statement.where(
            exists().where(Item.image_id == Image.id, Item.batch_id == wanted.batch_id)
        )
    return statement


def is_newest() -> ColumnElement[bool]:
    """The attribution is the newest one of its image."""
    later = aliased(Attribution)
    return ~exists().where(later.image_id == Attribution.image_id, later.id > Attribution.id)


def is_unjudged() -> ColumnElement[bool]:
    """No confirmation or correction of the image's content stands."""
    said = aliased(Label)
    return ~exists().where(
        said.tenant_id == Image.tenant_id, said.sha256 == Image.sha256, said.kind != "appeal", stands(said)
    )


def is_kept_for_another(actor: str) -> ColumnElement[bool]:
    """The image lies before another reviewer."""
    other = aliased(ReviewClaim)
    return exists().where(
        other.image_id == Image.id,
        other.skipped_at.is_(None),
        other.expires_at > func.now(),
        other.actor != actor,
    )


def _has_turn(turn: str) -> ColumnElement[bool]:
    if turn == "appeal":
        return is_appealed()
    return and_(Attribution.verdict == turn, is_unjudged())


def is_appealed() -> ColumnElement[bool]:
    """An appeal is open: no judgement followed it."""
    appeal, answer = aliased(Label), aliased(Label)
    same = and_(appeal.tenant_id == Image.tenant_id, appeal.sha256 == Image.sha256)
    answered = exists().where(
        answer.tenant_id == appeal.tenant_id,
        answer.sha256 == appeal.sha256,
        answer.kind != "appeal",
        answer.id > appeal.id,
        stands(answer),
    )
    return exists().where(same, appeal.kind == "appeal", stands(appeal), ~answered)
