"""The refit of the density for everybody: looks whether one is due by the written triggers, and records each run.

Only what people whom the service trusts confirmed changes it. It is made anew, whenever it is, from the model's own
density and all confirmations that stand, so that one which was taken back leaves no trace. What it makes goes into the
contest and answers nobody yet. It also makes sure that what is published can be used.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectMissing, ObjectStore, manifest_key
from leaktrace.records.challengers import find_shadow
from leaktrace.records.confirmations import list_confirmed, read_embeddings
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, active_density, foundation_of, models_in_use
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.drift import golden_drifts
from leaktrace.records.locks import REFIT_LOCK
from leaktrace.records.promotions import standing_promotions
from leaktrace.records.refits import confirmed_in, labels_left_out, newest_label_used, record_refit
from leaktrace.science.gates import GateRules
from leaktrace.science.refitting import refit_known, step_sizes
from leaktrace.settings import Settings
from worker.bench import DENSITY_CONTENT_TYPE, Bench
from worker.confirmed import Chosen, ConfirmedRules, choose
from worker.contest import Contest, Draft, Entered
from worker.loaded_models import read_density
from worker.periodic import run_alone
from worker.registration import publish_own_density
from worker.triggers import Situation, decide_refit, most_at_once

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.density import OpenSetDensity

log = get_logger(__name__)


@dataclass(frozen=True)
class RefitRules:
    """Which confirmed images count, and after how long a density is fitted again even on few."""

    confirmed: ConfirmedRules = field(default_factory=ConfirmedRules)
    max_age: timedelta = timedelta(days=30)


def refit_rules(settings: Settings) -> RefitRules:
    """The bounds that the operator has set."""
    confirmed = ConfirmedRules(
        per_tenant_and_day=settings.confirmed_per_day,
        age=timedelta(seconds=settings.confirmed_age_seconds),
    )
    return RefitRules(confirmed, max_age=timedelta(days=settings.refit_max_age_days))


@dataclass(frozen=True)
class Run:
    """What came of one run, as its record says it."""

    outcome: str
    reason: str
    version: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Refitter:
    """One scheduled run is one call of `run`; `consider` is what a person asks for."""

    engine: Engine
    store: ObjectStore
    gates: GateRules = field(default_factory=GateRules)
    rules: RefitRules = field(default_factory=RefitRules)

    def run(self, attributor: "Attributor") -> bool:
        """Look after the density of every model in use unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run looks again.
        """
        return run_alone(self.engine, REFIT_LOCK, partial(self._look_after_all, attributor))

    def _look_after_all(self, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            versions = {*models_in_use(session), attributor.version}
        for version in sorted(versions):
            self._look_after(version, attributor)

    def consider(self, attributor: "Attributor", *, asked: UUID | None = None) -> None:
        """Refit if that is due, and record the run. The caller holds the lock."""
        with transaction(self.engine) as session:
            try:
                run = self._refit(session, attributor, asked=asked is not None)
            except ValueError as error:
                run = Run("refused", str(error))
            _record(session, attributor.version, run, asked=asked)

    def _look_after(self, version: str, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            checkpoint = active_density(session, version)
        if checkpoint is None:
            run = self._publish(version, attributor)
        elif not _is_intact(checkpoint, self.store):
            run = self._restore(checkpoint, attributor)
        elif version != attributor.version:
            run = Run(
                "no_change", "this worker runs another model: its own workers decide", checkpoint.version
            )
        else:
            self.consider(attributor)
            return
        with transaction(self.engine) as session:
            _record(session, version, run)

    def _refit(self, session: Session, attributor: "Attributor", *, asked: bool) -> Run:
        version = attributor.version
        active, foundation = active_density(session, version), foundation_of(session, version)
        if active is None or foundation is None:
            return Run("no_change", "no density is active")
        own = read_density(foundation, self.store)
        chosen = self._choose(session, own, version)
        situation = self._situation(session, active, chosen, model_version=version, asked=asked)
        decision = decide_refit(situation, max_age=self.rules.max_age)
        counted = {
            "near_copies": chosen.near,
            "over_cap": chosen.over_cap,
            "left_out": chosen.left_out,
            "confirmed": chosen.per_class(),
        }
        if not decision.due:
            return Run("no_change", decision.reason, active.version, counted)
        bench = Bench(attributor, active, read_density(active, self.store))
        used = confirmed_in(session, active.version)
        sizes = step_sizes(
            used,
            confirmed=len(chosen.images),
            most=most_at_once(active.known_images),
        )
        drafts = self._drafts(session, own, chosen, sizes, reason=decision.reason, model_version=version)
        entered = Contest(store=self.store, rules=self.gates).enter(session, drafts, bench)
        return _run_of(entered, sizes, chosen, used=used, reason=decision.reason, counted=counted)

    def _choose(self, session: Session, own: "OpenSetDensity", model_version: str) -> Chosen:
        names = [str(name) for name in own.classes_]
        trained = dict(zip(names, np.bincount(own.labels_, minlength=len(names)).tolist(), strict=True))
        rules = self.rules.confirmed
        found = list_confirmed(session, model_version, generators=names, age=rules.age)
        left_out = labels_left_out(session, model_version)
        return choose(found, trained=trained, rules=rules, left_out=left_out)

    def _situation(
        self,
        session: Session,
        active: DensityCheckpoint,
        chosen: Chosen,
        *,
        model_version: str,
        asked: bool,
    ) -> Situation:
        shadow = find_shadow(session, model_version)
        return Situation(
            confirmed=chosen.newer_than(newest_label_used(session, model_version)),
            known=active.known_images,
            age=datetime.now(UTC) - session.get_one(DensityVersion, active.version).created_at,
            asked=asked,
            golden_drifts=golden_drifts(session, model_version, density_version=active.version),
            in_shadow=shadow.version if shadow is not None else None,
        )

    def _drafts(
        self,
        session: Session,
        own: "OpenSetDensity",
        chosen: Chosen,
        sizes: Sequence[int],
        *,
        reason: str,
        model_version: str,
    ) -> Iterator[Draft]:
        """A draft of each size, made when it is its turn."""
        promotions = standing_promotions(session, model_version)
        stored = read_embeddings(session, model_version, image_ids=[one.image_id for one in chosen.images])
        for size in sizes:
            part = chosen.first(size)
            usable = [one for one in part.images if one.image_id in stored]
            embeddings = np.array([np.asarray(stored[one.image_id], dtype=np.float32) for one in usable])
            names = np.array([one.generator for one in usable], dtype=np.str_)
            manifest = part.manifest()
            yield Draft(
                known=refit_known(own, embeddings, names),
                promotions=promotions,
                reason=f"fitted again: {reason}",
                details={
                    "newest_label": str(max(one.label_id for one in usable)),
                    "data": _data_facts(manifest, part, model_version=model_version),
                },
                manifest=manifest,
            )

    def _publish(self, version: str, attributor: "Attributor") -> Run:
        if version != attributor.version:
            reason = "no density is active, and this worker runs another model: its own workers publish one"
            return Run("refused", reason)
        publish_own_density(attributor, engine=self.engine, store=self.store)
        return Run("published", "no density was active")

    def _restore(self, checkpoint: DensityCheckpoint, attributor: "Attributor") -> Run:
        """Store a lost or damaged artefact again from the copy in memory, when it is the same to the last byte."""
        artefact, key = attributor.density.to_bytes(), checkpoint.object_key
        if hashlib.sha256(artefact).hexdigest() != checkpoint.sha256:
            reason = f"{key} is lost or damaged, and this worker holds no copy of it"
            return Run("refused", reason, checkpoint.version)
        self.store.put(key, artefact, content_type=DENSITY_CONTENT_TYPE)
        return Run("published", f"{key} was lost or damaged and was stored again", checkpoint.version)


def _data_facts(manifest: bytes, chosen: Chosen, *, model_version: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(manifest).hexdigest()
    return {
        "manifest_sha256": sha256,
        "manifest_key": manifest_key(model_version, sha256),
        "confirmed_images": len(chosen.images),
        "confirmed": chosen.per_class(),
    }


def _run_of(
    entered: Entered,
    sizes: Sequence[int],
    chosen: Chosen,
    *,
    used: int,
    reason: str,
    counted: dict[str, Any],
) -> Run:
    """The record says which steps were tried; a refused one also up to which label it looked, and whom it leaves out.

    What the smallest step would have added to the `used` images in force was in every step that was refused.
    """
    steps = [
        {"confirmed_images": size, "refused_by": failed}
        for size, failed in zip(sizes, entered.tried, strict=False)
    ]
    details = {**counted, "steps": steps}
    if entered.in_shadow:
        taken = f"{sizes[len(steps) - 1]} of {len(chosen.images)} confirmed images, in step {len(steps)}"
        return Run("shadow", f"{reason}: {entered.outcome} ({taken})", entered.version, details)
    details["newest_label"] = str(max(one.label_id for one in chosen.images))
    leaves_out = [str(one.label_id) for one in chosen.images[used : sizes[-1]]]
    details["leaves_out"] = leaves_out
    refused = f"{reason}: {entered.outcome}; left out until they are labelled anew: {len(leaves_out)}"
    return Run("refused", refused, entered.version, details)


def _record(session: Session, model_version: str, run: Run, *, asked: UUID | None = None) -> None:
    record_refit(
        session,
        model_version,
        outcome=run.outcome,
        reason=run.reason,
        density_version=run.version,
        details=run.details,
        asked=asked,
    )
    log.info("refit_recorded", model_version=model_version, outcome=run.outcome, reason=run.reason)


def _is_intact(checkpoint: DensityCheckpoint, store: ObjectStore) -> bool:
    try:
        artefact = store.get(checkpoint.object_key)
    except ObjectMissing:
        return False
    return hashlib.sha256(artefact).hexdigest() == checkpoint.sha256
