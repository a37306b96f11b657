"""A batch as a wall of pictures: little of each result, and where every page of them ends.

Knowing the ends lets a page in the middle of 100,000 be read without those before it. Pages are keyed by custom_id, as
those of `results` are.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leaktrace.records.models import Attribution, Item
from leaktrace.records.results import ResultFilter


@dataclass(frozen=True)
class Entry:
    """What a picture on the wall says; without an image its bytes were never checked."""

    custom_id: str
    image_id: UUID | None
    state: str
    error_code: str | None
    verdict: str | None
    generator: str | None
    p_value: float | None


@dataclass(frozen=True)
class Places:
    """How many results a filter leaves, and the custom_id that ends every page of so many."""

    total: int
    ends: list[str]


def list_entries(
    session: Session,
    tenant_id: UUID,
    *,
    batch_id: UUID,
    chosen: ResultFilter,
    limit: int,
    after: str | None = None,
) -> list[Entry]:
    """At most `limit` entries of the batch in the order of their custom_id, beginning behind `after`."""
    statement = (
        select(
            Item.custom_id,
            Item.image_id,
            Item.state,
            Item.error_code,
            Attribution.verdict,
            Attribution.generator,
            Attribution.p_value,
        )
        .outerjoin(Attribution, Item.attribution_id == Attribution.id)
        .where(Item.tenant_id == tenant_id, Item.batch_id == batch_id, *chosen.conditions())
        .order_by(Item.custom_id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(Item.custom_id > after)
    return [Entry(*row) for row in session.execute(statement)]


def find_places(
    session: Session, tenant_id: UUID, *, batch_id: UUID, chosen: ResultFilter, page: int
) -> Places:
    """Where each page of `page` results ends, so that any of them can be read without those before."""
    numbered = (
        select(Item.custom_id, func.row_number().over(order_by=Item.custom_id).label("number"))
        .outerjoin(Attribution, Item.attribution_id == Attribution.id)
        .where(Item.tenant_id == tenant_id, Item.batch_id == batch_id, *chosen.conditions())
        .cte()
    )
    last = select(func.max(numbered.c.number)).scalar_subquery()
    rows = session.execute(
        select(numbered.c.custom_id, numbered.c.number)
        .where((numbered.c.number % page == 0) | (numbered.c.number == last))
        .order_by(numbered.c.number)
    ).all()
    return Places(total=rows[-1].number if rows else 0, ends=[row.custom_id for row in rows])
