"""Looks whether images still look as they did, and records each look with its alarms.

All images are judged by the density in force, from stored embeddings, so that a change of the density is no drift of
the images. Live windows hold at most so many images of a tenant, and nothing found in them changes a density: only
golden findings, whose images the operator chose, are a cause to refit.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, active_density
from leaktrace.records.drift import Window, WindowImage, read_golden, read_window, record_drift
from leaktrace.records.locks import DRIFT_LOCK
from leaktrace.science.drift import DriftRules, Finding, embedding_shift, rate_changes, uniformity
from leaktrace.science.gates import Sample, decisions
from leaktrace.settings import Settings
from worker.bench import as_sample, calibration_sample
from worker.loaded_models import read_density
from worker.periodic import run_alone

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.judging import Judge

GOLDEN_IMAGES = 5_000
# The cost of the permutations grows with the square.
SHIFT_IMAGES = 500

log = get_logger(__name__)


@dataclass(frozen=True)
class DriftWindows:
    """How long the recent and the trailing window are, how many images they hold, and the batch of golden images."""

    recent: timedelta = timedelta(hours=24)
    trailing: timedelta = timedelta(days=7)
    per_tenant: int = 500
    images: int = 2_000
    golden_batch: UUID | None = None


def drift_windows(settings: Settings) -> DriftWindows:
    """The windows that the operator has set."""
    return DriftWindows(
        recent=timedelta(hours=settings.drift_recent_hours),
        trailing=timedelta(hours=settings.drift_trailing_hours),
        per_tenant=settings.drift_images_per_tenant,
        golden_batch=settings.golden_batch,
    )


@dataclass(frozen=True)
class _Seen:
    """The images of a window, and what the judge decides of each."""

    images: list[WindowImage]
    embeddings: NDArray[np.float32]
    answers: NDArray[np.str_]

    @property
    def counts(self) -> dict[str, int]:
        names, numbers = np.unique(self.answers, return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))

    @property
    def facts(self) -> dict[str, int]:
        return {"images": len(self.images), "tenants": len({image.tenant_id for image in self.images})}


@dataclass(frozen=True, kw_only=True)
class DriftLook:
    """One scheduled look is one call of `run`."""

    engine: Engine
    store: ObjectStore
    windows: DriftWindows = field(default_factory=DriftWindows)
    rules: DriftRules = field(default_factory=DriftRules)

    def run(self, attributor: "Attributor") -> bool:
        """Look unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run looks again.
        """
        return run_alone(self.engine, DRIFT_LOCK, partial(self._look_if_active, attributor))

    def _look_if_active(self, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            active = active_density(session, attributor.version)
        if active is not None:
            self._look(attributor, active)

    def _look(self, attributor: "Attributor", active: DensityCheckpoint) -> None:
        density = read_density(active, self.store)
        judge = attributor.make_judge(density, version=active.version)
        now = datetime.now(UTC)
        with transaction(self.engine) as session:
            recent = self._see(session, judge, attributor.version, since=now - self.windows.recent, until=now)
            until = now - self.windows.recent
            trailing = self._see(
                session, judge, attributor.version, since=until - self.windows.trailing, until=until
            )
            golden = self._golden(session, judge, attributor.version)
        findings = [*golden, *self._live(judge, recent), *self._against(judge, recent, trailing)]
        details = {"recent": recent.facts, "trailing": trailing.facts}
        with transaction(self.engine) as session:
            raised = record_drift(
                session,
                attributor.version,
                density_version=active.version,
                findings=[asdict(finding) for finding in findings],
                details=details,
            )
        for alarm in raised:
            log.warning("drift_alarm", kind=alarm.kind, subject=alarm.subject, reason=alarm.reason)
        log.info(
            "drift_looked", model_version=attributor.version, findings=len(findings), new_alarms=len(raised)
        )

    def _see(
        self, session: Session, judge: "Judge", model_version: str, *, since: datetime, until: datetime
    ) -> _Seen:
        window = Window(since, until, self.windows.per_tenant, self.windows.images)
        images = read_window(session, model_version, window=window)
        sample = as_sample(images, dimensions=len(judge.density.scale_.mean_))
        return _Seen(images, sample.embeddings, decisions(judge, sample))

    def _golden(self, session: Session, judge: "Judge", model_version: str) -> list[Finding]:
        """Golden images lie in folders by generator, as their custom ids say; those of other names are passed over."""
        if self.windows.golden_batch is None:
            return []
        found = read_golden(
            session, self.windows.golden_batch, model_version=model_version, limit=GOLDEN_IMAGES
        )
        if not found:
            return []
        names = np.array([custom_id.partition("/")[0] for custom_id, _ in found])
        embeddings = np.array([np.asarray(embedding, np.float32) for _, embedding in found])
        scores = dict(zip(judge.classes, judge.density.calibration_scores_, strict=True))
        novelty = _novelty_by_class(judge, embeddings, names)
        return uniformity("golden", novelty, scores, rules=self.rules, least=0.0)

    def _live(self, judge: "Judge", recent: _Seen) -> list[Finding]:
        """Named images against the calibration images that would be named too: the others have no live counterpart."""
        if judge.density.calibration_ is None:
            return []
        sample = calibration_sample(judge.density)
        named = decisions(judge, sample) == sample.names
        calibration = _novelty_by_class(judge, sample.embeddings[named], _names(sample)[named])
        novelty = _novelty_by_class(judge, recent.embeddings, recent.answers)
        return uniformity("live", novelty, calibration, rules=self.rules, least=self.rules.least_distance)

    def _against(self, judge: "Judge", recent: _Seen, trailing: _Seen) -> list[Finding]:
        rates = rate_changes(recent.counts, trailing.counts, rules=self.rules)
        if not len(recent.images) or not len(trailing.images):
            return rates
        now, then = (_thinned(judge.density.scale(seen.embeddings)) for seen in (recent, trailing))
        return rates + embedding_shift(now, then, rules=self.rules)


def _novelty_by_class(
    judge: "Judge", embeddings: NDArray[np.float32], names: NDArray[np.str_]
) -> dict[str, NDArray[np.float64]]:
    """The novelty of each image under the density of the class that it is named by."""
    if not len(embeddings):
        return {name: np.empty(0) for name in judge.classes}
    novelty = judge.density.novelty(embeddings)
    return {name: novelty[names == name, index] for index, name in enumerate(judge.classes)}


def _names(sample: Sample) -> NDArray[np.str_]:
    return sample.names if sample.names is not None else np.empty(0, dtype=np.str_)


def _thinned(points: NDArray[Any]) -> NDArray[Any]:
    """At most SHIFT_IMAGES of the points, evenly through the window."""
    rows = np.linspace(0, len(points) - 1, min(len(points), SHIFT_IMAGES)).round().astype(int)
    chosen: NDArray[Any] = points[rows]
    return chosen
