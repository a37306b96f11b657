"""Confirmed images: what people whom the service trusts said, and still stand by, of images of known generators.

They alone may change the density that judges everybody. Of each content the newest judgement counts, and it counts only
while no appeal is open and once it is old enough. Knows nothing of how a density is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, exists, func, select, type_coerce
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from leaktrace.records.labels import stands
from leaktrace.records.models import Attribution, Image
from leaktrace.records.open_set_models import Label


@dataclass(frozen=True)
class ConfirmedImage:
    """An image whose maker a trusted person named."""

    label_id: UUID
    tenant_id: UUID
    image_id: UUID
    sha256: str
    perceptual_hash: int | None
    generator: str
    said_at: datetime


def list_confirmed(
    session: Session, model_version: str, *, generators: Sequence[str], age: timedelta
) -> list[ConfirmedImage]:
    """All that stand, the oldest label first, of images that the model has embedded."""
    newest = (
        select(Label)
        .where(Label.kind != "appeal", stands(Label))
        .ext(distinct_on(Label.tenant_id, Label.sha256))
        .order_by(Label.tenant_id, Label.sha256, Label.id.desc())
        .subquery()
    )
    said = aliased(Label, newest)
    appeal = aliased(Label)
    appealed = exists().where(
        appeal.tenant_id == said.tenant_id,
        appeal.sha256 == said.sha256,
        appeal.kind == "appeal",
        appeal.id > said.id,
        stands(appeal),
    )
    embedded = exists().where(
        Attribution.image_id == Image.id,
        Attribution.model_version == model_version,
        Attribution.embedding.is_not(None),
    )
    statement = (
        select(
            said.id,
            said.tenant_id,
            Image.id,
            said.sha256,
            Image.perceptual_hash,
            type_coerce(said.generator, Text()),
            said.created_at,
        )
        .join(Image, and_(Image.tenant_id == said.tenant_id, Image.sha256 == said.sha256))
        .where(
            said.trusted,
            said.generator.in_(generators),
            said.created_at <= func.now() - age,
            ~appealed,
            embedded,
        )
        .order_by(said.id)
    )
    return [ConfirmedImage(*row) for row in session.execute(statement)]


def read_embeddings(session: Session, model_version: str, *, image_ids: Sequence[UUID]) -> dict[UUID, Any]:
    """The newest embedding of each image by the model, by the image's id."""
    statement = (
        select(Attribution.image_id, Attribution.embedding)
        .where(
            Attribution.image_id.in_(image_ids),
            Attribution.model_version == model_version,
            Attribution.embedding.is_not(None),
        )
        .ext(distinct_on(Attribution.image_id))
        .order_by(Attribution.image_id, Attribution.id.desc())
    )
    return dict(session.execute(statement).all())
