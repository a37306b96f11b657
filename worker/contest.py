"""A new density for everybody enters the contest with the one that answers: built, measured, then in shadow or refused.

What it is made of is a known part (the model's own, or one fitted again) and the generators that were promoted. It
answers nobody here. Knows nothing of why it is wanted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from leaktrace.objects import ObjectStore, manifest_key
from leaktrace.records.challengers import enter_shadow, reject_density
from leaktrace.records.densities import DensityCheckpoint, NewDensity, store_density
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.examples import read_named
from leaktrace.records.open_set_models import Enrolment
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.gates import Gate, GateRules, compare, held_out_recall
from leaktrace.science.refitting import Step, try_steps
from worker.bench import Bench, Built, as_sample, calibration_sample, make_artefact, store_artefact
from worker.density_facts import describe

LIVE_IMAGES = 2_000
MANIFEST_CONTENT_TYPE = "application/x-ndjson"


@dataclass(frozen=True)
class Draft:
    """What a new density shall consist of, what its row says of that, and why it is made.

    A `manifest` lists the confirmed images in it, and is kept beside the artefact under the hash of its content.
    """

    known: OpenSetDensity
    promotions: Sequence[Enrolment]
    reason: str
    details: Mapping[str, Any]
    manifest: bytes | None = None


@dataclass(frozen=True)
class Candidate:
    """A draft and the density that it gave."""

    draft: Draft
    built: Built


@dataclass(frozen=True)
class Entered:
    """What became of the drafts: the version of one, whether it is in shadow now, and why or why not.

    `tried` says of each draft that was measured, in their order, which gates it did not pass.
    """

    version: str
    in_shadow: bool
    outcome: str
    gates: list[Any]
    tried: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """`bench` is always that of the champion."""

    store: ObjectStore
    rules: GateRules

    def enter(self, session: Session, drafts: Iterable[Draft], bench: Bench) -> Entered:
        """Build the drafts in turn and measure them: the first that passes all gates is in shadow from now on.

        When none passes, the very first is kept with the reason. Raises ValueError when one cannot be built or
        measured, or none was given.
        """
        candidates = (Candidate(draft, self.build(session, draft, bench)) for draft in drafts)
        step, steps = try_steps(candidates, lambda one: self._measure(session, one, bench))
        tried = [[gate.name for gate in each.failed] for each in steps]
        return self._settle(session, step, bench, tried=tried)

    def _settle(
        self, session: Session, step: Step[Candidate], bench: Bench, *, tried: list[list[str]]
    ) -> Entered:
        new = self.record_of(step.made.draft, step.made.built, bench)
        version, measured = new.checkpoint.version, [gate.to_dict() for gate in step.gates]
        if not step.failed:
            enter_shadow(session, new, gates=measured)
            return Entered(version, True, "all gates on stored images passed", measured, tried)
        failed = "; ".join(gate.detail for gate in step.failed)
        if session.get(DensityVersion, version) is None:
            store_density(session, new)
            reject_density(session, version, outcome=failed, gates=measured)
        return Entered(version, False, failed, measured, tried)

    def build(self, session: Session, draft: Draft, bench: Bench) -> Built:
        """The draft's density. Raises ValueError when one of its generators cannot be made."""
        return Bench(bench.attributor, bench.base, draft.known).build(
            session, draft.promotions, rules=self.rules
        )

    def record_of(self, draft: Draft, built: Built, bench: Bench) -> NewDensity:
        """Store the artefacts; the row is the caller's to write."""
        details = _details(draft, built, bench)
        checkpoint = self._put(built.density, bench, details=details)
        if draft.promotions:
            known = self._put(draft.known, bench, details={**details, "enrolments": []})
            details["known"] = {"object_key": known.object_key, "sha256": known.sha256}
        if draft.manifest is not None:
            key = manifest_key(bench.model_version, details["data"]["manifest_sha256"])
            self.store.put(key, draft.manifest, content_type=MANIFEST_CONTENT_TYPE)
        return NewDensity(checkpoint, bench.model_version, details=details, reason=draft.reason)

    def _put(self, density: OpenSetDensity, bench: Bench, *, details: Mapping[str, Any]) -> DensityCheckpoint:
        return store_artefact(
            density, self.store, model_version=bench.model_version, prefix=_prefix(bench), details=details
        )

    def _measure(self, session: Session, candidate: Candidate, bench: Bench) -> list[Gate]:
        draft, built, attributor = candidate.draft, candidate.built, bench.attributor
        same = _same_as_before(session, candidate, bench)
        if same is not None:
            return [same]
        challenger = attributor.make_judge(built.density, version="challenger")
        entering = [one for one in draft.promotions if one.state == "pending"]
        live = read_named(
            session,
            None,
            model_version=bench.model_version,
            examples_of=[one.id for one in entering],
            limit=LIVE_IMAGES,
        )
        gates = compare(
            attributor.make_judge(bench.density, version="champion"),
            challenger,
            reference=calibration_sample(bench.density),
            live=as_sample(live, dimensions=built.density.embeddings_.shape[1]),
            golden=bench.golden(),
            rules=self.rules,
        )
        return gates + [
            held_out_recall(challenger, built.held_out[one.id], name=one.name, rules=self.rules)
            for one in entering
        ]


def _details(draft: Draft, built: Built, bench: Bench) -> dict[str, Any]:
    return {
        **describe(built.density, bench.attributor.card),
        **draft.details,
        "champion": bench.base.version,
        "enrolments": [str(one.id) for one in draft.promotions],
    }


def _prefix(bench: Bench) -> str:
    return f"{bench.attributor.card['name']}-density"


def _same_as_before(session: Session, candidate: Candidate, bench: Bench) -> Gate | None:
    """A gate that no density passes which was made before: what became of it then stands."""
    checkpoint, _ = make_artefact(
        candidate.built.density,
        model_version=bench.model_version,
        prefix=_prefix(bench),
        details=_details(candidate.draft, candidate.built, bench),
    )
    before = session.get(DensityVersion, checkpoint.version)
    if before is None:
        return None
    return Gate("is_new", False, 1.0, 0.0, f"it is the same as {before.version}, which is {before.state}")


def known_part(champion: DensityVersion) -> DensityCheckpoint:
    """Where the density lies on which the champion's promoted generators were set; itself when there is none."""
    known = champion.details.get("known")
    if known is None:
        return DensityCheckpoint(
            champion.version, champion.object_key, champion.sha256, champion.known_images
        )
    return DensityCheckpoint(champion.version, known["object_key"], known["sha256"], champion.known_images)
