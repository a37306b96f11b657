"""The quarantine: images without a name, kept apart from everything known until a person decides.

What enters is bounded per tenant, batch and day, near copies collapse onto the image that came first, and nothing is
looked at before its age delay has passed. A new generator's images are more often left open than called unseen, so both
enter; what is left open leaves a part of every bound to the others. Every tenant has a quarantine of its own, so that
nothing which one of them submits reaches another. Knows nothing of how groups are found.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.open_set_models import QuarantinedImage

UNNAMED = ("unseen", "inconclusive")  # verdicts without a name, in the order in which their images enter


@dataclass(frozen=True)
class QuarantineRules:
    """How many held images a tenant may have in all, from one batch and from one day; and how old one must be.

    Images that the model left open enter only while fewer than `open_share` of these are held.
    """

    per_tenant: int = 20_000
    per_batch: int = 1_000
    per_day: int = 2_000
    open_share: float = 0.5
    age_delay: timedelta = timedelta(hours=1)
    lifetime: timedelta | None = None  # of an entry; older images do not enter


@dataclass(frozen=True)
class Unnamed:
    """An image that no known generator made, as far as is known, and that is not in the quarantine yet.

    It is `left_open` when the model did not decide, and nobody else did.
    """

    tenant_id: UUID
    image_id: UUID
    attribution_id: UUID
    batch_id: UUID | None
    model_version: str
    perceptual_hash: int | None
    seen_at: datetime
    left_open: bool = False


@dataclass(frozen=True)
class HeldImage:
    """A held image whose age delay has passed, as clustering needs it."""

    id: UUID
    image_id: UUID
    batch_id: UUID | None
    sha256: str
    format: str | None
    seen_at: datetime
    candidate_id: UUID | None
    embedding: Any


@dataclass
class Places:
    """What a tenant's quarantine holds now, so that an intake knows what is left and what is a copy."""

    held: int
    by_batch: Counter[UUID | None]
    by_day: Counter[str]
    ids: list[UUID] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)


def find_new_unnamed(
    session: Session, model_version: str, *, verdict: str, limit: int, lifetime: timedelta | None = None
) -> list[Unnamed]:
    """The oldest images of a verdict without a name that were not taken in, with the first batch that showed each.

    With a `lifetime`, no older ones than that.
    """
    batch = select(Item.batch_id).where(Item.image_id == Attribution.image_id).order_by(Item.id).limit(1)
    known = select(QuarantinedImage.id).where(
        QuarantinedImage.image_id == Attribution.image_id,
        QuarantinedImage.model_version == Attribution.model_version,
    )
    statement = (
        select(
            Attribution.tenant_id,
            Attribution.image_id,
            Attribution.id,
            batch.scalar_subquery(),
            Attribution.model_version,
            Image.perceptual_hash,
            Attribution.created_at,
            Attribution.verdict == "inconclusive",
        )
        .join(Image, Image.id == Attribution.image_id)
        .where(
            Attribution.model_version == model_version,
            Attribution.verdict == verdict,
            literal(True) if lifetime is None else Attribution.created_at >= func.now() - lifetime,
            ~known.exists(),
            ~_judged_later(model_version),
        )
        .order_by(Attribution.id)
        .limit(limit)
    )
    return [Unnamed(*row) for row in session.execute(statement)]


def _judged_later(model_version: str) -> ColumnElement[bool]:
    """The image has another verdict by now, of a later density."""
    later = aliased(Attribution)
    return exists().where(
        later.image_id == Attribution.image_id,
        later.model_version == model_version,
        later.id > Attribution.id,
    )


def read_places(session: Session, tenant_id: UUID, *, model_version: str) -> Places:
    """Count what a tenant's quarantine holds, and list its hashes."""
    statement = select(
        QuarantinedImage.id,
        QuarantinedImage.perceptual_hash,
        QuarantinedImage.batch_id,
        QuarantinedImage.created_at,
    ).where(
        QuarantinedImage.tenant_id == tenant_id,
        QuarantinedImage.model_version == model_version,
        QuarantinedImage.state == "held",
    )
    rows = session.execute(statement).all()
    hashed = [row for row in rows if row[1] is not None]
    return Places(
        held=len(rows),
        by_batch=Counter(row[2] for row in rows),
        by_day=Counter(day_of(row[3]) for row in rows),
        ids=[row[0] for row in hashed],
        hashes=[int(row[1]) for row in hashed if row[1] is not None],
    )


def take_in(session: Session, found: Sequence[Unnamed], *, states: Sequence[tuple[UUID, str, UUID | None]],
            rules: QuarantineRules) -> None:  # fmt: skip
    """Record each image with the (id, state, copy_of) that was decided for it."""
    rows = [
        {
            "id": entry_id,
            "tenant_id": one.tenant_id,
            "image_id": one.image_id,
            "attribution_id": one.attribution_id,
            "batch_id": one.batch_id,
            "model_version": one.model_version,
            "perceptual_hash": one.perceptual_hash,
            "state": state,
            "copy_of": copy_of,
            "matures_at": one.seen_at + rules.age_delay,
        }
        for one, (entry_id, state, copy_of) in zip(found, states, strict=True)
    ]
    if rows:
        session.execute(insert(QuarantinedImage).on_conflict_do_nothing(), rows)


def full_place(places: Places, one: Unnamed, *, rules: QuarantineRules) -> bool:
    """Whether the image's tenant, batch or day has had its share."""
    share = rules.open_share if one.left_open else 1.0
    return (
        places.held >= share * rules.per_tenant
        or places.by_batch[one.batch_id] >= share * rules.per_batch
        or places.by_day[today()] >= share * rules.per_day
    )


def read_mature(session: Session, tenant_id: UUID, *, model_version: str, limit: int) -> list[HeldImage]:
    """The newest held images whose age delay has passed, with their embeddings."""
    statement = (
        select(
            QuarantinedImage.id,
            QuarantinedImage.image_id,
            QuarantinedImage.batch_id,
            Image.sha256,
            Image.format,
            QuarantinedImage.created_at,
            QuarantinedImage.candidate_id,
            Attribution.embedding,
        )
        .join(Image, Image.id == QuarantinedImage.image_id)
        .join(Attribution, Attribution.id == QuarantinedImage.attribution_id)
        .where(
            QuarantinedImage.tenant_id == tenant_id,
            QuarantinedImage.model_version == model_version,
            QuarantinedImage.state == "held",
            QuarantinedImage.matures_at <= func.now(),
            Attribution.embedding.is_not(None),
        )
        .order_by(QuarantinedImage.matures_at.desc(), QuarantinedImage.id)
        .limit(limit)
    )
    return [HeldImage(*row) for row in session.execute(statement)]


def count_held(session: Session, tenant_id: UUID) -> int:
    """How many images of the tenant are held, by whichever model."""
    held = select(func.count()).where(
        QuarantinedImage.tenant_id == tenant_id, QuarantinedImage.state == "held"
    )
    return session.execute(held).scalar_one()


def tenants_in_quarantine(session: Session, model_version: str) -> list[UUID]:
    """Whose images are held for this model."""
    statement = select(QuarantinedImage.tenant_id).where(
        QuarantinedImage.model_version == model_version, QuarantinedImage.state == "held"
    )
    return list(session.scalars(statement.distinct()))


def today() -> str:
    """The day that caps count by, in UTC."""
    return day_of(datetime.now(UTC))


def day_of(moment: datetime) -> str:
    """The UTC day of a moment."""
    return moment.astimezone(UTC).date().isoformat()
