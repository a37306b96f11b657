"""The images of a tenant that resemble one of its images most, by the embeddings of one model.

A tenant with few images is searched exactly; a larger one by the model's HNSW index, scanned on until enough of the
tenant's own were met, and what was found is put in order in full precision. Numbers that a model only keeps for classes
to come have no say. Tenant and model are conditions of the query itself, so no other tenant's image can come back,
however near it lies.
"""

from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import ColumnElement, Select, cast, func, literal, select, text
from sqlalchemy.orm import Session

from leaktrace.records.models import Attribution
from leaktrace.records.registry import judged_dim_of
from leaktrace.records.results import AttributionNotFound, find_attribution

EXACT_UP_TO = 10_000  # a tenant's attributions of a model; more are searched by the index
SEARCH_BREADTH = 100  # hnsw.ef_search: candidates that a scan keeps
SCAN_LIMIT = 40_000  # hnsw.max_scan_tuples: what a scan looks at before it gives up on finding more


@dataclass(frozen=True)
class Neighbour:
    """An image near another one: its newest attribution by the model, and the Euclidean distance."""

    attribution: Attribution
    distance: float


def find_nearest(
    session: Session, tenant_id: UUID, *, image_id: UUID, limit: int, model_version: str | None = None
) -> tuple[str, list[Neighbour]]:
    """The model version, and at most `limit` other images of the tenant, the nearest first.

    By the model of the image's latest attribution, or by `model_version`.

    Raises:
        AttributionNotFound: the tenant has no such image, or it has not been attributed.
    """
    asked = find_attribution(session, tenant_id, image_id=image_id, model_version=model_version)
    embedding = session.scalar(select(Attribution.embedding).where(Attribution.id == asked.id))
    if embedding is None:
        raise AttributionNotFound(f"image {image_id} has no embedding by {asked.model_version} any more")
    found = search(
        session, tenant_id, embedding=embedding, model_version=asked.model_version, limit=limit + 1
    )
    others = [(image, distance) for image, distance in found if image != image_id][:limit]
    newest = _newest(session, [image for image, _ in others], model_version=asked.model_version)
    return asked.model_version, [Neighbour(newest[image], distance) for image, distance in others]


def search(
    session: Session, tenant_id: UUID, *, embedding: Any, model_version: str, limit: int
) -> list[tuple[UUID, float]]:
    """At most `limit` images of the tenant by their distance from an embedding (D,), the nearest first."""
    exact = _is_small(session, tenant_id, model_version=model_version)
    judged_dim = judged_dim_of(session, model_version)
    if not exact:
        prepare_scan(session)
    asked = limit
    while True:
        statement = nearest_rows(
            tenant_id, embedding=embedding, judged_dim=judged_dim, model_version=model_version, exact=exact
        )
        rows = session.execute(statement.limit(asked)).all()
        # An image has a row for each density that judged it, all with one embedding.
        nearest: dict[UUID, float] = {}
        for image_id, distance in sorted(rows, key=itemgetter(1)):
            nearest.setdefault(image_id, distance)
        if len(nearest) >= limit or len(rows) < asked:
            return list(nearest.items())[:limit]
        asked *= 4


def prepare_scan(session: Session) -> None:
    """Until the transaction ends, scans of HNSW indexes go on until enough rows pass the conditions."""
    session.execute(text("SET LOCAL hnsw.iterative_scan = 'relaxed_order'"))
    session.execute(text(f"SET LOCAL hnsw.ef_search = {SEARCH_BREADTH:d}"))
    session.execute(text(f"SET LOCAL hnsw.max_scan_tuples = {SCAN_LIMIT:d}"))


def nearest_rows(
    tenant_id: UUID, *, embedding: Any, judged_dim: int, model_version: str, exact: bool
) -> Select[UUID, float]:
    """Image ids and exact distances by the first `judged_dim` numbers, ordered exactly or as the index orders them."""
    stored, asked = _judged_part(len(embedding), judged_dim), embedding[:judged_dim]
    full = cast(stored, Vector(judged_dim)).l2_distance(asked)
    indexed = cast(stored, HALFVEC(judged_dim)).l2_distance(asked)
    # Written into the statement: a partial index is used only where its condition is seen to hold.
    version = literal(model_version, literal_execute=True)
    return (
        select(Attribution.image_id, full)
        .where(
            Attribution.tenant_id == tenant_id,
            Attribution.model_version == version,
            Attribution.embedding.is_not(None),
        )
        .order_by(full if exact else indexed)
    )


def _judged_part(embedding_dim: int, judged_dim: int) -> ColumnElement[Any]:
    """The judged numbers of stored embeddings; nothing but the column where that is all of them, as it is indexed."""
    if judged_dim == embedding_dim:
        return Attribution.embedding.expression
    # Numbers of the statement itself, not parameters: a plan that fits any of them could not use the index.
    first, count = (literal(number, literal_execute=True) for number in (1, judged_dim))
    return func.subvector(Attribution.embedding, first, count, type_=Vector())


def _is_small(session: Session, tenant_id: UUID, *, model_version: str) -> bool:
    some = (
        select(Attribution.id)
        .where(Attribution.tenant_id == tenant_id, Attribution.model_version == model_version)
        .limit(EXACT_UP_TO + 1)
        .subquery()
    )
    return session.execute(select(func.count()).select_from(some)).scalar_one() <= EXACT_UP_TO


def _newest(session: Session, image_ids: list[UUID], *, model_version: str) -> dict[UUID, Attribution]:
    statement = (
        select(Attribution)
        .where(Attribution.image_id.in_(image_ids), Attribution.model_version == model_version)
        .order_by(Attribution.id)
    )
    return {attribution.image_id: attribution for attribution in session.scalars(statement)}
