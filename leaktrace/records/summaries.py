"""What a batch's results look like together: verdicts, generators, failures, p-values and speed.

Counted when asked for, over the items of one batch, so that a summary never differs from the results themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from leaktrace.records.models import Attribution, Batch, Item

P_VALUE_BINS = 20
RECENT_SECONDS = 60


@dataclass(frozen=True)
class Summary:
    """Counts by name, the most first where there may be many; `p_values` counts in equal bins of 0 to 1."""

    verdicts: dict[str, int]
    generators: dict[str, int]
    failures: dict[str, int]
    p_values: list[int]
    images_per_second: float | None


def summarise(session: Session, batch: Batch) -> Summary:
    """The summary of what is finished by now."""
    rows = _attributions(session, batch)
    return Summary(
        verdicts=_largest_first([(row.verdict, row.images) for row in rows]),
        generators=_largest_first([(row.generator, row.images) for row in rows if row.generator]),
        failures=_failures(session, batch),
        p_values=_histogram(rows),
        images_per_second=_speed(session, batch),
    )


def _attributions(session: Session, batch: Batch) -> Sequence[Row[Any]]:
    """Counts by verdict, generator and bin of the p-value, in one pass."""
    p_bin = func.least(func.width_bucket(Attribution.p_value, 0.0, 1.0, P_VALUE_BINS), P_VALUE_BINS)
    by = (Attribution.verdict, Attribution.generator, p_bin.label("p_bin"))
    statement = (
        select(*by, func.count().label("images"))
        .select_from(Item)
        .join(Attribution, Item.attribution_id == Attribution.id)
        .where(Item.tenant_id == batch.tenant_id, Item.batch_id == batch.id)
        .group_by(*by)
    )
    return session.execute(statement).all()


def _failures(session: Session, batch: Batch) -> dict[str, int]:
    statement = (
        select(Item.error_code, func.count())
        .where(Item.batch_id == batch.id, Item.tenant_id == batch.tenant_id, Item.state == "failed")
        .group_by(Item.error_code)
    )
    return _largest_first([(str(row[0]), int(row[1])) for row in session.execute(statement)])


def _histogram(rows: Sequence[Row[Any]]) -> list[int]:
    counts = [0] * P_VALUE_BINS
    for row in rows:
        counts[row.p_bin - 1] += row.images
    return counts


def _speed(session: Session, batch: Batch) -> float | None:
    """Images a second: of the last minute while there is work, of the whole time afterwards; None without any."""
    begun = batch.in_progress_at
    if begun is None:
        return None
    ended = batch.completed_at if batch.state == "completed" else None
    finished = (Item.batch_id == batch.id, Item.tenant_id == batch.tenant_id, Item.finished_at.is_not(None))
    if ended is not None and ended > begun:
        seconds = (ended - begun).total_seconds()
        count = session.scalar(select(func.count()).where(*finished, Item.finished_at >= begun))
    else:
        now = datetime.now(UTC)
        seconds = min(RECENT_SECONDS, max(1.0, (now - begun).total_seconds()))
        recent = Item.finished_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        count = session.scalar(select(func.count()).where(*finished, recent))
    return count / seconds if count else None


def _largest_first(counts: Sequence[tuple[str, int]]) -> dict[str, int]:
    summed: dict[str, int] = {}
    for name, count in counts:
        summed[name] = summed.get(name, 0) + count
    return dict(sorted(summed.items(), key=lambda pair: (-pair[1], pair[0])))
