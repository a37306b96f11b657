"""One tenant's service in the stream simulation: the product's own rules as plain calls, without servers or pixels.

Judging, p-values, quarantine, discovery, enrolment, refit and gates are those that run in production. What is assumed
is a person, who names what a group mostly is, dismisses the attacker's, and confirms a share of the named images.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.stream_world import ATTACKER, Embeddings, World
from leaktrace.records.quarantine import UNNAMED, Places, QuarantineRules, Unnamed
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.discovery import DiscoveryRules, discover
from leaktrace.science.encoder import EncoderConfig
from leaktrace.science.enrolment import Examples, SplitExamples, enrol, place_prototypes, split
from leaktrace.science.gates import Gate, GateRules, Sample, compare, decisions, held_out_recall
from leaktrace.science.judging import Judge, Thresholds
from leaktrace.science.model import ModelConfig, ProtoLeakNet
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import Preprocessing
from leaktrace.science.refitting import refit_known, step_sizes, try_steps
from leaktrace.science.renoising import Schedule
from leaktrace.science.temperature import fit_temperature
from worker.quarantine import decide
from worker.triggers import images_until_due, most_at_once

VERSION = "simulated"
KNOWN, CALIBRATION = 200, 200  # images a known generator
PROTOTYPES = 6
ALPHA, MIN_PROBABILITY = 0.05, 0.5
HELD_LOOKED_AT = 5_000
ENROLLED_FROM = 60  # images in a group that a person names

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Held:
    """One image in the quarantine, with the truth that only the simulation knows."""

    embedding: NDArray[np.float32]
    truth: str
    day: int


@dataclass(frozen=True)
class Change:
    """An enrolment or a refit: what it took, and whether the gates let it pass."""

    kind: str
    day: int
    name: str
    seconds: float
    known_images: int
    failed: tuple[str, ...]
    purity: float = 1.0
    steps: int = 1  # that were tried


@dataclass
class Service:
    """The state of one tenant, driven by `judge_day`, `look` and `refit`."""

    world: World
    random: np.random.Generator
    rules: QuarantineRules
    changes: list[Change] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    enrolled: dict[str, SplitExamples] = field(default_factory=dict)
    states: Counter[tuple[bool, str]] = field(default_factory=Counter)  # (is the attacker's, state)
    shown: Counter[str] = field(default_factory=Counter)  # groups by whose most of their images are
    confirmed: list[tuple[NDArray[np.float32], str]] = field(default_factory=list)
    joined: int = 0  # confirmed images in the density that answers
    looked_at: int = 0  # confirmed images that count as new no longer

    def __post_init__(self) -> None:
        self.foundation = self._fit()
        self.base = self.density = self.foundation
        self.model = self._make_model()
        self.judge = self.judge_by(self.density)
        self.golden = np.concatenate([one.draw(2, self.random) for one in self.world.known])
        self.live = np.empty((0, self.golden.shape[1]), np.float32)
        self.places = Places(0, Counter(), Counter())

    def judge_by(self, density: OpenSetDensity, *, alpha: float = ALPHA) -> Judge:
        """The judge that answers by a density."""
        thresholds = Thresholds(alpha=alpha, min_probability=MIN_PROBABILITY)
        return Judge(self.model, density, model_version=VERSION, version="v", thresholds=thresholds)

    def judge_day(
        self, embeddings: Embeddings, truths: Names, hashes: NDArray[np.int64], *, day: int
    ) -> Names:
        """What is said of a day's images; those without a name are offered to the quarantine."""
        said = decisions(self.judge, as_sample(embeddings))
        self.places.by_day.clear()
        batches = {name: uuid4() for name in [*set(truths.tolist())]}
        for row in np.concatenate([np.flatnonzero(said == verdict) for verdict in UNNAMED]):
            one = _unnamed(batches[str(truths[row])], int(hashes[row]), left_open=said[row] == "inconclusive")
            _, state, _ = decide(one, self.places, rules=self.rules)
            self.states[(str(truths[row]) == ATTACKER, state)] += 1
            if state == "held":
                self.held.append(Held(embeddings[row], str(truths[row]), day))
        named = ~np.isin(said, UNNAMED)
        self.live = np.concatenate([self.live, embeddings[named]])[-2_000:]
        for row in np.flatnonzero(named & (said == truths) & (self.random.random(len(said)) < 0.1)):
            if str(truths[row]) in self.base.classes_:
                self.confirmed.append((embeddings[row], str(truths[row])))
        return said

    def look(self, day: int) -> None:
        """Look for groups, and let the person name them or dismiss them."""
        mature = [one for one in self.held if one.day < day][-HELD_LOOKED_AT:]
        if not mature:
            return
        points = np.array([one.embedding for one in mature])
        gone: set[int] = set()
        for group in discover(points, self.density, rules=DiscoveryRules(), random=self.random):
            gone |= self._consider([mature[row] for row in group.members], day=day)
        self._let_go(gone)

    def refit(self, day: int) -> None:
        """Fit the known anew on all that people confirmed, when the product's rule says that it is due."""
        known = len(self.base.embeddings_)
        if len(self.confirmed) - self.looked_at < images_until_due(known):
            return
        started = time.perf_counter()
        sizes = step_sizes(self.joined, confirmed=len(self.confirmed), most=most_at_once(known))
        step, tried = try_steps(map(self._refitted, sizes), lambda made: self._gates(self.judge_by(made[1])))
        failed = tuple(gate.name for gate in step.failed)
        self._note("refit", day, "known", started, step.made[1], failed, steps=len(tried))
        if failed:
            self.looked_at = len(self.confirmed)
            return
        self.joined = self.looked_at = sizes[len(tried) - 1]
        self.base = step.made[0]
        self._use(step.made[1])

    def _refitted(self, size: int) -> tuple[OpenSetDensity, OpenSetDensity]:
        """The density with the first confirmed images, without and with the enrolled generators."""
        taken = self.confirmed[:size]
        names = np.array([name for _, name in taken])
        base = density = refit_known(self.foundation, np.array([one for one, _ in taken]), names)
        for name, examples in self.enrolled.items():
            density = enrol(
                self.judge_by(density), self.model, name=name, examples=examples, rules=GateRules()
            )
        return base, density

    def _consider(self, members: list[Held], *, day: int) -> set[int]:
        truths = Counter(one.truth for one in members)
        name, count = truths.most_common(1)[0]
        self.shown[
            "known" if name in self.density.classes_ else "attacker" if name == ATTACKER else "new"
        ] += 1
        if name == ATTACKER:
            return {id(one) for one in members}  # dismissed: what a person sees is no generator's
        if len(members) < ENROLLED_FROM or name in self.density.classes_:
            return set()
        started, density = time.perf_counter(), self.density
        try:
            examples = split(as_examples(np.array([one.embedding for one in members])), alpha=ALPHA)
            density = enrol(self.judge, self.model, name=name, examples=examples, rules=GateRules())
            judge = self.judge_by(density)
            held_out = Sample(examples.held_out.embeddings, examples.held_out.gates)
            recall = held_out_recall(judge, held_out, name=name, rules=GateRules())
            failed = tuple(gate.name for gate in [*self._gates(judge), recall] if not gate.passed)
        except ValueError as error:
            failed = (str(error),)
        self._note("enrolment", day, name, started, density, failed, purity=count / len(members))
        if failed:
            return set()
        self.enrolled[name] = examples
        self._use(density)
        return {id(one) for one in members}

    def _gates(self, challenger: Judge) -> list[Gate]:
        return compare(
            self.judge,
            challenger,
            reference=_reference(self.judge.density),
            live=as_sample(self.live),
            golden=self.golden,
            rules=GateRules(),
        )

    def _use(self, density: OpenSetDensity) -> None:
        self.density, self.judge = density, self.judge_by(density)

    def _let_go(self, gone: set[int]) -> None:
        before = len(self.held)
        self.held = [one for one in self.held if id(one) not in gone]
        self.places.held -= before - len(self.held)

    def _note(self, kind: str, day: int, name: str, started: float, density: OpenSetDensity,
              failed: tuple[str, ...], *, purity: float = 1.0, steps: int = 1) -> None:  # fmt: skip
        seconds = time.perf_counter() - started
        known = len(density.embeddings_)
        self.changes.append(Change(kind, day, name, seconds, known, failed, purity, steps))

    def _fit(self) -> OpenSetDensity:
        """The density that the model comes with."""
        known, calibrating = (
            np.concatenate([one.draw(count, self.random) for one in self.world.known])
            for count in (KNOWN, CALIBRATION)
        )
        names = np.array([one.name for one in self.world.known])
        return OpenSetDensity(model_version=VERSION).fit(
            known,
            np.repeat(names, KNOWN),
            calibration_embeddings=calibrating,
            calibration_labels=np.repeat(names, CALIBRATION),
            calibration_gates=np.full_like(calibrating, 0.5),
        )

    def _make_model(self) -> Model:
        """A model whose head has k-means prototypes of the known; nothing else of it is used."""
        names = tuple(sorted(one.name for one in self.world.known))
        dimensions = self.base.embeddings_.shape[1]
        encoder = EncoderConfig(channels=4, steps=(0, 100), widths=(4, 4, 4), embedding_dim=dimensions)
        net = ProtoLeakNet(ModelConfig(encoder, names, prototypes=PROTOTYPES)).eval()
        placed = [
            place_prototypes(self.base.embeddings_[self.base.labels_ == index], count=PROTOTYPES, seed=0)
            for index in range(len(names))
        ]
        net.head.prototypes.data = torch.from_numpy(np.stack(placed))
        reference = _reference(self.base)
        labels = np.searchsorted(self.base.classes_, reference.names)
        with torch.inference_mode():
            scores = net.head(torch.from_numpy(reference.embeddings), torch.from_numpy(reference.gates))
        return Model(
            name=VERSION,
            preprocessing=Preprocessing(),
            schedule=Schedule(steps=(0, 100)),
            latents=cast(Any, None),
            latent_encoder=cast(Any, None),
            net=net,
            temperature=fit_temperature(scores, labels.tolist()),
        )


def as_examples(embeddings: Embeddings) -> Examples:
    """Embeddings with the gate that every simulated image has."""
    return Examples(embeddings, np.full_like(embeddings, 0.5))


def as_sample(embeddings: Embeddings) -> Sample:
    """The same as images to judge."""
    return Sample(embeddings, np.full_like(embeddings, 0.5))


def _reference(density: OpenSetDensity) -> Sample:
    calibration = density.calibration_
    if calibration is None:
        raise ValueError("the density carries 0 calibration images")
    names = np.asarray(density.classes_, dtype=np.str_)[calibration.labels]
    return Sample(calibration.embeddings, calibration.gates, names)


def _unnamed(batch_id: UUID, perceptual_hash: int, *, left_open: bool) -> Unnamed:
    now = datetime.now(UTC) - timedelta(hours=2)
    return Unnamed(uuid4(), uuid4(), uuid4(), batch_id, VERSION, perceptual_hash, now, left_open)
