"""Drift as charts: how each test's effect went from look to look, against the bound beyond which it is an alarm."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from api.console.charts import Curve, draw_curve
from leaktrace.records.drift import latest_run, list_series
from leaktrace.records.drift_models import DriftFinding, DriftRun

RUNS_SHOWN = 168  # a week of hourly looks
KIND_WORDS = {
    "golden": "p-values of golden images",
    "live": "p-values of live images",
    "rate": "share of answers",
    "embedding": "embeddings against those before",
}


@dataclass(frozen=True)
class Series:
    """One test over the looks, with what the newest one said."""

    title: str
    curve: Curve
    newest: DriftFinding
    alarms: int


@dataclass(frozen=True)
class Drift:
    """What the looks found; `series` is empty where there were too few images to test anything."""

    newest: DriftRun
    since: datetime
    series: list[Series]


def read_drift(session: Session, model_version: str) -> Drift | None:
    """The looks at a model's images; None before the first."""
    newest = latest_run(session, model_version)
    if newest is None:
        return None
    rows = list_series(session, model_version, runs=RUNS_SHOWN)
    by_test: dict[tuple[str, str], list[DriftFinding]] = {}
    for _, finding in rows:
        by_test.setdefault((finding.kind, finding.subject), []).append(finding)
    series = [_series(kind, subject, found) for (kind, subject), found in by_test.items()]
    since = min((run.at for run, _ in rows), default=newest.at)
    return Drift(newest, since, sorted(series, key=lambda one: (not one.newest.alarm, one.title)))


def _series(kind: str, subject: str, found: list[DriftFinding]) -> Series:
    words = KIND_WORDS.get(kind, kind)
    return Series(
        title=f"{words}: {subject}" if subject else words,
        curve=draw_curve([(one.effect, one.alarm) for one in found], bound=found[-1].bound),
        newest=found[-1],
        alarms=sum(one.alarm for one in found),
    )
