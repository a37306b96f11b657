"""Maps of a tenant's embeddings: whose is due, which images are drawn, and what stands of each point now.

A map keeps images and places; what the model and people say of an image is read when the map is shown. Knows nothing of
how places are found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.models import Attribution, Tenant
from leaktrace.records.open_set_models import EmbeddingMap, QuarantinedImage
from leaktrace.records.review_queue import is_newest

Places = Sequence[tuple[UUID, float, float]]


@dataclass(frozen=True)
class Place:
    """One image on the map, from 0 to 1 in both directions."""

    image_id: UUID
    x: float
    y: float
    verdict: str
    generator: str | None
    candidate_id: UUID | None


@dataclass(frozen=True)
class DrawnMap:
    """The newest map; `images` says of how many its places are a sample."""

    images: int
    asked_at: datetime | None
    drawn_at: datetime | None
    places: list[Place]


def ask_for_map(session: Session, tenant_id: UUID, *, model_version: str) -> None:
    """Have a worker draw the map anew."""
    statement = insert(EmbeddingMap).values(
        tenant_id=tenant_id, model_version=model_version, asked_at=func.now()
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "model_version"], set_={"asked_at": func.now()}
        )
    )


def tenants_to_draw(session: Session, model_version: str, *, longest: timedelta) -> list[UUID]:
    """Whose map was asked for, is older than `longest`, or was never drawn although there are embeddings."""
    embedded = exists().where(Attribution.tenant_id == Tenant.id, Attribution.model_version == model_version)
    statement = (
        select(Tenant.id)
        .outerjoin(
            EmbeddingMap,
            and_(EmbeddingMap.tenant_id == Tenant.id, EmbeddingMap.model_version == model_version),
        )
        .where(
            or_(
                EmbeddingMap.asked_at.is_not(None),
                EmbeddingMap.drawn_at < func.now() - longest,
                EmbeddingMap.drawn_at.is_(None),
            ),
            embedded,
        )
        .order_by(EmbeddingMap.asked_at.nulls_last())
    )
    return list(session.scalars(statement))


def sample_embeddings(
    session: Session, tenant_id: UUID, *, model_version: str, limit: int
) -> tuple[int, list[tuple[UUID, Any]]]:
    """How many images the model has embedded, and image and embedding of at most `limit`, always the same ones."""
    mine = (
        Attribution.tenant_id == tenant_id,
        Attribution.model_version == model_version,
        Attribution.embedding.is_not(None),
        is_newest(),
    )
    count = session.execute(select(func.count(Attribution.id)).where(*mine)).scalar_one()
    by_lot = func.md5(cast(Attribution.image_id, Text))
    chosen = select(Attribution.id).where(*mine).order_by(by_lot).limit(limit).subquery()
    statement = select(Attribution.image_id, Attribution.embedding).join(
        chosen, chosen.c.id == Attribution.id
    )
    rows = session.execute(statement.order_by(Attribution.image_id)).all()
    return count, [(row[0], row[1]) for row in rows]


def save_map(session: Session, tenant_id: UUID, *, model_version: str, images: int, places: Places) -> None:
    """Replace the tenant's map; what was asked for is done."""
    points = [[str(image_id), x, y] for image_id, x, y in places]
    facts = {"points": points, "images": images, "asked_at": None, "drawn_at": func.now()}
    statement = insert(EmbeddingMap).values(tenant_id=tenant_id, model_version=model_version, **facts)
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "model_version"], set_=facts)
    )


def read_map(session: Session, tenant_id: UUID, *, model_version: str) -> DrawnMap:
    """The map with what stands of its images now; those that were deleted are gone from it."""
    found = session.get(EmbeddingMap, (tenant_id, model_version))
    if found is None:
        return DrawnMap(0, None, None, [])
    placed = {UUID(image_id): (x, y) for image_id, x, y in found.points}
    candidate = select(QuarantinedImage.candidate_id).where(
        QuarantinedImage.image_id == Attribution.image_id, QuarantinedImage.model_version == model_version
    )
    statement = select(
        Attribution.image_id, Attribution.verdict, Attribution.generator, candidate.scalar_subquery()
    ).where(
        Attribution.tenant_id == tenant_id,
        Attribution.model_version == model_version,
        Attribution.image_id.in_(placed),
        is_newest(),
    )
    places = [Place(row[0], *placed[row[0]], row[1], row[2], row[3]) for row in session.execute(statement)]
    return DrawnMap(found.images, found.asked_at, found.drawn_at, places)
