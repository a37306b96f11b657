"""What a re-score changed: how often each answer became which, and why; and the images, one by one."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from leaktrace.records.models import Attribution, Item
from leaktrace.records.rescore_models import Rescore, RescoredItem

Cause = Literal["none", "model", "enrolled", "withdrawn", "density", "failed"]

_before, _after = aliased(Attribution), aliased(Attribution)
_answered = func.coalesce(_before.generator, _before.verdict)
_answers = case((_after.id.is_(None), "failed"), else_=func.coalesce(_after.generator, _after.verdict))
# What can have changed an answer, the most telling first.
_cause = case(
    (_after.id.is_(None), "failed"),
    (_after.id == _before.id, "none"),
    (_after.model_version != _before.model_version, "model"),
    (and_(_after.generator.is_not(None), ~_before.p_values.has_key(_after.generator)), "enrolled"),
    (and_(_before.generator.is_not(None), ~_after.p_values.has_key(_before.generator)), "withdrawn"),
    else_="density",
)


@dataclass(frozen=True)
class AnswerChange:
    """How many items went from one answer to another, or stayed, for one cause."""

    before: str
    after: str
    cause: Cause
    items: int


@dataclass(frozen=True)
class ItemChange:
    """One item before and after. `p_before` and `p_after` are of the class that each answer is about."""

    item_id: UUID
    custom_id: str
    batch_id: UUID
    image_id: UUID
    before: str
    after: str
    cause: Cause
    p_before: float
    p_after: float | None
    model_before: str
    model_after: str | None
    density_before: str
    density_after: str | None
    reason: str | None
    error_code: str | None


def summarise_rescore(session: Session, rescore: Rescore) -> list[AnswerChange]:
    """How often each answer became which, the most frequent first."""
    before, after, cause = _answered.label("before"), _answers.label("after"), _cause.label("cause")
    statement = (
        _joined(select(before, after, cause, func.count()), rescore)
        .group_by(before, after, cause)
        .order_by(func.count().desc(), before, after)
    )
    return [AnswerChange(*row) for row in session.execute(statement)]


def list_changes(
    session: Session, rescore: Rescore, *, changed: bool, limit: int, after: UUID | None = None
) -> list[ItemChange]:
    """The items whose answer differs, or all, in the order of their ids; `after` begins behind an item."""
    statement = select(
        Item.id,
        Item.custom_id,
        Item.batch_id,
        Item.image_id,
        _answered,
        _answers,
        _cause,
        _before.p_value,
        _after.p_value,
        _before.model_version,
        _after.model_version,
        _before.density_version,
        _after.density_version,
        _after.reason,
        RescoredItem.error_code,
    )
    chosen: list[ColumnElement[bool]] = [_answered != _answers] if changed else []
    if after is not None:
        chosen.append(Item.id > after)
    rows = session.execute(_joined(statement, rescore).where(*chosen).order_by(Item.id).limit(limit))
    return [ItemChange(*row) for row in rows]


def _joined(statement: Select[*tuple[Any, ...]], rescore: Rescore) -> Select[*tuple[Any, ...]]:
    return (
        statement.select_from(RescoredItem)
        .join(Item, Item.id == RescoredItem.item_id)
        .join(_before, _before.id == RescoredItem.before_id)
        .outerjoin(_after, _after.id == RescoredItem.after_id)
        .where(RescoredItem.rescore_id == rescore.id)
    )
