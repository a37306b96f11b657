"""Results as their owner reads them: items with their image and attribution, page after page, in a stable order.

Pages are keyed by custom_id, which is unique in its batch and indexed, so that a page costs the same wherever it
lies. Embeddings are never read here.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, defer

from leaktrace.errors import NotFound
from leaktrace.records.labels import Standing, standing_of
from leaktrace.records.models import Attribution, Image, Item

ResultRow = tuple[Item, Image | None, Attribution | None, Standing | None]


class AttributionNotFound(NotFound):
    """No attribution of this tenant's image exists (yet)."""

    code = "attribution_not_found"


@dataclass(frozen=True)
class ResultFilter:
    """What to leave out; None leaves out nothing."""

    state: str | None = None
    verdict: str | None = None
    generator: str | None = None
    error_code: str | None = None
    p_min: float | None = None
    p_max: float | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a row of items, joined with their attributions, has to fulfil."""
        equal = (
            (Item.state, self.state),
            (Attribution.verdict, self.verdict),
            (Attribution.generator, self.generator),
            (Item.error_code, self.error_code),
        )
        conditions = [column == value for column, value in equal if value is not None]
        if self.p_min is not None:
            conditions.append(Attribution.p_value >= self.p_min)
        if self.p_max is not None:
            conditions.append(Attribution.p_value <= self.p_max)
        return conditions


def list_results(
    session: Session,
    tenant_id: UUID,
    *,
    batch_id: UUID,
    chosen: ResultFilter,
    limit: int,
    after: str | None = None,
) -> list[ResultRow]:
    """At most `limit` items of the batch in the order of their custom_id, beginning behind `after`."""
    statement = (
        select(Item, Image, Attribution)
        .outerjoin(Image, Item.image_id == Image.id)
        .outerjoin(Attribution, Item.attribution_id == Attribution.id)
        .options(defer(Attribution.embedding))
        .where(Item.tenant_id == tenant_id, Item.batch_id == batch_id, *chosen.conditions())
        .order_by(Item.custom_id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(Item.custom_id > after)
    rows = session.execute(statement).all()
    standings = standing_of(session, tenant_id, [image.sha256 for _, image, _ in rows if image is not None])
    return [
        (item, image, attribution, standings.get(image.sha256) if image is not None else None)
        for item, image, attribution in rows
    ]


def models_of_batch(session: Session, tenant_id: UUID, *, batch_id: UUID) -> list[str]:
    """The versions of the models that answered for the batch's items, in order."""
    statement = (
        select(Attribution.model_version)
        .join(Item, Item.attribution_id == Attribution.id)
        .where(Item.tenant_id == tenant_id, Item.batch_id == batch_id)
        .distinct()
        .order_by(Attribution.model_version)
    )
    return list(session.scalars(statement))


def list_attributions(session: Session, tenant_id: UUID, *, image_id: UUID) -> list[Attribution]:
    """What every model and density version said of an image, the newest first; empty when there is no such image."""
    statement = (
        select(Attribution)
        .options(defer(Attribution.embedding), defer(Attribution.gate))
        .where(Attribution.tenant_id == tenant_id, Attribution.image_id == image_id)
        .order_by(Attribution.created_at.desc(), Attribution.id.desc())
    )
    return list(session.scalars(statement))


def p_values_of(session: Session, tenant_id: UUID, *, batch_id: UUID) -> dict[UUID, float]:
    """The p-value of each attribution of a batch by its id, so that an image counts once however many items show it."""
    statement = (
        select(Attribution.id, Attribution.p_value)
        .join(Item, Item.attribution_id == Attribution.id)
        .where(Item.tenant_id == tenant_id, Item.batch_id == batch_id)
        .distinct()
    )
    return dict(session.execute(statement).all())


def find_attribution(
    session: Session, tenant_id: UUID, *, image_id: UUID, model_version: str | None = None
) -> Attribution:
    """The latest attribution of an image, or the one by `model_version`.

    Raises:
        AttributionNotFound: the tenant has no such image, or it has not been attributed.
    """
    statement = (
        select(Attribution)
        .options(defer(Attribution.embedding))
        .where(Attribution.tenant_id == tenant_id, Attribution.image_id == image_id)
        .order_by(Attribution.created_at.desc(), Attribution.id.desc())
        .limit(1)
    )
    if model_version is not None:
        statement = statement.where(Attribution.model_version == model_version)
    attribution = session.execute(statement).scalar_one_or_none()
    if attribution is None:
        raise AttributionNotFound(f"image {image_id} has no such attribution; see the results of its batch")
    return attribution
