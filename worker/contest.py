"""A new density for everybody enters the contest with the one that answers: built, measured, then in shadow or refused.

What it is made of is a known part (the model's own, or one fitted again) and the generators that were promoted. It
answers nobody here. Knows nothing of why it is wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from leaktrace.objects import ObjectStore
from leaktrace.records.challengers import enter_shadow, reject_density
from leaktrace.records.densities import DensityCheckpoint, NewDensity, store_density
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.examples import read_named
from leaktrace.records.open_set_models import Enrolment
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.gates import Gate, GateRules, compare, held_out_recall
from worker.bench import Bench, Built, as_sample, calibration_sample, store_artefact
from worker.density_facts import describe

LIVE_IMAGES = 2_000


@dataclass(frozen=True)
class Draft:
    """What a new density shall consist of, what its row says of that, and why it is made."""

    known: OpenSetDensity
    promotions: Sequence[Enrolment]
    reason: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Entered:
    """What became of a draft: the version, whether it is in shadow now, and why or why not."""

    version: str
    in_shadow: bool
    outcome: str
    gates: list[Any]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """`bench` is always that of the champion."""

    store: ObjectStore
    rules: GateRules

    def enter(self, session: Session, draft: Draft, bench: Bench) -> Entered:
        """Build the draft and measure it; it is in shadow from now on, or kept with the reason.

        Raises ValueError when it cannot be built or measured.
        """
        built = self.build(session, draft, bench)
        new = self.record_of(draft, built, bench)
        version = new.checkpoint.version
        before = session.get(DensityVersion, version)
        if before is not None:
            return Entered(version, False, f"it is the same as {version}, which is {before.state}", [])
        gates = self._measure(session, draft, built, bench)
        measured = [gate.to_dict() for gate in gates]
        failed = "; ".join(gate.detail for gate in gates if not gate.passed)
        if failed:
            store_density(session, new)
            reject_density(session, version, outcome=failed, gates=measured)
            return Entered(version, False, failed, measured)
        enter_shadow(session, new, gates=measured)
        return Entered(version, True, "all gates on stored images passed", measured)

    def build(self, session: Session, draft: Draft, bench: Bench) -> Built:
        """The draft's density. Raises ValueError when one of its generators cannot be made."""
        return Bench(bench.attributor, bench.base, draft.known).build(session, draft.promotions)

    def record_of(self, draft: Draft, built: Built, bench: Bench) -> NewDensity:
        """Store the artefacts; the row is the caller's to write."""
        details = {
            **describe(built.density, bench.attributor.card),
            **draft.details,
            "champion": bench.base.version,
            "enrolments": [str(one.id) for one in draft.promotions],
        }
        checkpoint = self._put(built.density, bench, details=details)
        if draft.promotions:
            known = self._put(draft.known, bench, details={**details, "enrolments": []})
            details["known"] = {"object_key": known.object_key, "sha256": known.sha256}
        return NewDensity(checkpoint, bench.model_version, details=details, reason=draft.reason)

    def _put(self, density: OpenSetDensity, bench: Bench, *, details: Mapping[str, Any]) -> DensityCheckpoint:
        prefix = f"{bench.attributor.card['name']}-density"
        return store_artefact(
            density, self.store, model_version=bench.model_version, prefix=prefix, details=details
        )

    def _measure(self, session: Session, draft: Draft, built: Built, bench: Bench) -> list[Gate]:
        attributor = bench.attributor
        challenger = attributor.make_judge(built.density, version="challenger")
        live = read_named(session, None, model_version=bench.model_version, limit=LIVE_IMAGES)
        gates = compare(
            attributor.make_judge(bench.density, version="champion"),
            challenger,
            reference=calibration_sample(bench.density),
            live=as_sample(live, dimensions=built.density.embeddings_.shape[1]),
            golden=bench.golden(),
            rules=self.rules,
        )
        entering = [one for one in draft.promotions if one.state == "pending"]
        return gates + [
            held_out_recall(challenger, built.held_out[one.id], name=one.name, rules=self.rules)
            for one in entering
        ]


def known_part(champion: DensityVersion) -> DensityCheckpoint:
    """Where the density lies on which the champion's promoted generators were set; itself when there is none."""
    known = champion.details.get("known")
    if known is None:
        return DensityCheckpoint(
            champion.version, champion.object_key, champion.sha256, champion.known_images
        )
    return DensityCheckpoint(champion.version, known["object_key"], known["sha256"], champion.known_images)
