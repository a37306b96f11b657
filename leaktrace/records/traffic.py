"""How much is being done, how long it takes and what fails: counted from the records, of one tenant or of all.

Attributions and shards are found by the time within their ids, so that a look costs no more than what it looks at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Select, cast, func, select
from sqlalchemy.orm import Session

from leaktrace.records.base import first_id_at
from leaktrace.records.models import Attribution, Item, Shard

STAGES = ("fetch", "decode", "attribute")
MOST_TIMED = 2_000  # the newest attributions that durations are measured on
LONGEST_WAIT = timedelta(days=1)  # a shard that was queued longer ago is not looked for


@dataclass(frozen=True)
class Minute:
    """What was done in the minute that begins then."""

    at: datetime
    attributed: int
    failed: int


@dataclass(frozen=True)
class Spread:
    """Durations in seconds: the middle one, and the one that 95 of 100 do not exceed."""

    median: float
    p95: float


@dataclass(frozen=True)
class FailureCount:
    """Images that failed with one code."""

    code: str
    images: int
    last_at: datetime


def traffic_by_minute(session: Session, tenant_id: UUID | None, *, minutes: int) -> list[Minute]:
    """The last so many minutes, the running one last; also those in which nothing was done."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    first = now - timedelta(minutes=minutes - 1)
    newest = select(Attribution.created_at.label("at"))
    done = newest.where(Attribution.id >= first_id_at(first), *_of(Attribution, tenant_id))
    failed = _failures(tenant_id, since=first).with_only_columns(Shard.finished_at.label("at"))
    attributed, lost = _per_minute(session, done), _per_minute(session, failed)
    moments = [first + timedelta(minutes=each) for each in range(minutes)]
    return [Minute(at, attributed.get(at, 0), lost.get(at, 0)) for at in moments]


def stage_seconds(session: Session, tenant_id: UUID | None, *, since: datetime) -> dict[str, Spread]:
    """How long the stages of the newest attributions took; empty where there was none since then."""
    newest = (
        select(Attribution.timings)
        .where(Attribution.id >= first_id_at(since), *_of(Attribution, tenant_id))
        .order_by(Attribution.id.desc())
        .limit(MOST_TIMED)
        .subquery()
    )
    found = {}
    for stage in STAGES:
        spread = _spread(session, cast(newest.c.timings[stage].astext, Float))
        if spread is not None:
            found[stage] = spread
    return found


def waiting_seconds(session: Session, tenant_id: UUID | None, *, since: datetime) -> Spread | None:
    """From a shard's entering the queue to its end, of those that ended since then; None where none did."""
    took = func.extract("epoch", Shard.finished_at - Shard.created_at)
    return _spread(session, took, *_ended(since), *_of(Shard, tenant_id))


def count_failures(session: Session, tenant_id: UUID | None, *, since: datetime) -> list[FailureCount]:
    """What failed since then by its code, the most frequent first."""
    statement = (
        _failures(tenant_id, since=since)
        .with_only_columns(Item.error_code, func.count(), func.max(Shard.finished_at))
        .group_by(Item.error_code)
        .order_by(func.count().desc(), Item.error_code)
    )
    rows = session.execute(statement)
    return [FailureCount(str(code), images, last) for code, images, last in rows if last is not None]


def _failures(tenant_id: UUID | None, *, since: datetime) -> Select[Any]:
    """Failed items by way of their shards, since an item fails when its shard ends."""
    return (
        select(Item.id)
        .select_from(Item)
        .join(Shard, Shard.id == Item.shard_id)
        .where(Item.state == "failed", *_ended(since), *_of(Item, tenant_id))
    )


def _ended(since: datetime) -> tuple[ColumnElement[bool], ...]:
    return Shard.id >= first_id_at(since - LONGEST_WAIT), Shard.finished_at >= since


def _per_minute(session: Session, moments: Select[Any]) -> dict[datetime, int]:
    minute = func.date_trunc("minute", moments.subquery().c.at)
    rows = session.execute(select(minute, func.count()).group_by(minute))
    return {at.astimezone(UTC): count for at, count in rows}


def _spread(session: Session, seconds: ColumnElement[Any], *chosen: ColumnElement[bool]) -> Spread | None:
    middle, high = (func.percentile_cont(share).within_group(seconds) for share in (0.5, 0.95))
    found = session.execute(select(middle, high).where(*chosen)).one()
    return None if found[0] is None else Spread(float(found[0]), float(found[1]))


def _of(
    table: type[Attribution] | type[Item] | type[Shard], tenant_id: UUID | None
) -> Sequence[ColumnElement[bool]]:
    return () if tenant_id is None else (table.tenant_id == tenant_id,)
