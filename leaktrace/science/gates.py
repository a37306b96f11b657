"""The gates between a challenger and its champion: what must not get worse before another density answers.

Each gate is a number against a bound, measured on images whose makers are known (the calibration images that a density
carries) and on live ones. A gate that cannot be measured is not passed. Knows nothing of how a density came about.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from leaktrace.science.encoder import Embedded
from leaktrace.science.judging import Judge
from leaktrace.science.stratified import given_or_unknown
from leaktrace.science.verdict import decide

_ROUNDING = 1e-9  # two shares whose difference is exactly what may be lost


@dataclass(frozen=True)
class GateRules:
    """The bounds: class recall lost, decisions flipped, AUROC lost, golden p-values moved, recall of a new class.

    A golden p-value may also move by `golden_errors` of its own standard errors: one from 30 calibration images moves
    in steps of 0.032, and other images to calibrate with would have moved it as far.
    """

    max_class_loss: float = 0.01
    max_flips: float = 0.005
    max_auroc_loss: float = 0.005
    max_golden_change: float = 0.05
    golden_errors: float = 2.0
    min_recall: float = 0.9


@dataclass(frozen=True)
class Gate:
    """One measured number and its bound; `detail` says in words what was measured."""

    name: str
    passed: bool
    measured: float
    limit: float
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """Images to judge: embeddings (N, D), gates (N, D), and their makers' names and strata where those are known."""

    embeddings: NDArray[np.float32]
    gates: NDArray[np.float32]
    names: NDArray[np.str_] | None = None
    strata: NDArray[np.str_] | None = None

    @property
    def known_strata(self) -> NDArray[np.str_]:
        """The strata (N,), unknown where they are not."""
        return given_or_unknown(self.strata, count=len(self.embeddings))


def decisions(judge: Judge, sample: Sample, *, own_p: NDArray[np.float64] | None = None) -> NDArray[np.str_]:
    """What the judge decides of each image (N,): a generator's name, "unseen" or "inconclusive".

    `own_p` (N, K), where given, stands in for the p-values.
    """
    if not len(sample.embeddings):
        return np.empty(0, dtype=np.str_)
    embedding, gate = torch.from_numpy(sample.embeddings), torch.from_numpy(sample.gates)
    attention = torch.empty(len(embedding), 0)
    probabilities = judge.probabilities(Embedded(embedding, gate, attention))
    p_values = judge.p_values(sample.embeddings, sample.known_strata) if own_p is None else own_p
    smallest_p = judge.calibration.smallest_p(sample.known_strata)
    found = []
    for row in range(len(sample.embeddings)):
        verdict = decide(
            probabilities[row],
            p_values[row],
            judge.classes,
            smallest_p=smallest_p[row],
            alpha=judge.thresholds.alpha,
            min_probability=judge.thresholds.min_probability,
        )
        found.append(verdict.generator or verdict.verdict)
    return np.array(found, dtype=np.str_)


def compare(
    champion: Judge,
    challenger: Judge,
    *,
    reference: Sample,
    live: Sample,
    golden: NDArray[np.float32],
    rules: GateRules,
) -> list[Gate]:
    """All gates between two judges: `reference` has names, `live` and the `golden` embeddings (G, D) have none."""
    before, after = decisions(champion, reference), decisions(challenger, reference)
    return [
        *_false_alarms(challenger, reference, after),
        *_class_recalls(reference, before, after, rules=rules),
        _flips(before, after, name="reference_flips", rules=rules),
        _flips(decisions(champion, live), decisions(challenger, live), name="live_flips", rules=rules),
        _auroc(champion, challenger, reference, rules=rules),
        _golden(champion, challenger, golden, rules=rules),
    ]


def held_out_recall(judge: Judge, sample: Sample, *, name: str, rules: GateRules) -> Gate:
    """How many of a new class's calibration images get its name when each is left out of the calibration."""
    index = judge.classes.index(name)
    p_values = judge.p_values(sample.embeddings, sample.known_strata)
    # (1 + others at least as novel) / (others + 1): the image itself no longer counts as one of them.
    counts = np.round(1 / judge.calibration.smallest_p(sample.known_strata)[:, index]) - 1
    p_values[:, index] = (p_values[:, index] * (counts + 1) - 1) / counts
    recall = float((decisions(judge, sample, own_p=p_values) == name).mean())
    detail = f"{recall:.1%} of {len(sample.embeddings)} held-out images of {name} are attributed to it"
    return Gate("held_out_recall", recall >= rules.min_recall, recall, rules.min_recall, detail)


def left_out_auroc(judge: Judge, sample: Sample) -> float:
    """Mean AUROC of novelty when each generator in turn is taken for unseen: its density is left out."""
    novelty = judge.density.novelty(sample.embeddings)  # (N, K)
    names = sample.names if sample.names is not None else np.empty(0, dtype=np.str_)
    areas = []
    for index, name in enumerate(judge.classes):
        stranger = names == name
        if stranger.any() and not stranger.all() and len(judge.classes) > 1:
            areas.append(float(roc_auc_score(stranger, np.delete(novelty, index, axis=1).min(axis=1))))
    return float(np.mean(areas)) if areas else float("nan")


def _false_alarms(judge: Judge, reference: Sample, after: NDArray[np.str_]) -> list[Gate]:
    alpha = judge.thresholds.alpha
    gates = []
    for name in np.unique(_names(reference)):
        unseen = after[_names(reference) == name] == "unseen"
        limit = alpha + 2 * float(np.sqrt(alpha * (1 - alpha) / len(unseen)))
        rate = float(unseen.mean())
        detail = f"{int(unseen.sum())} of {len(unseen)} images of {name} are called unseen"
        gates.append(Gate(f"false_alarms:{name}", rate <= limit, rate, limit, detail))
    return gates


def _class_recalls(
    reference: Sample, before: NDArray[np.str_], after: NDArray[np.str_], *, rules: GateRules
) -> list[Gate]:
    gates = []
    for name in np.unique(_names(reference)):
        own = _names(reference) == name
        old, new = float((before[own] == name).mean()), float((after[own] == name).mean())
        detail = f"recall of {name} from {old:.1%} to {new:.1%} on {int(own.sum())} images"
        passed = old - new <= rules.max_class_loss + _ROUNDING
        gates.append(Gate(f"class_recall:{name}", passed, old - new, rules.max_class_loss, detail))
    return gates


def _flips(before: NDArray[np.str_], after: NDArray[np.str_], *, name: str, rules: GateRules) -> Gate:
    """Named decisions that change. An image without a name that gets one is what a new class is for."""
    named = ~np.isin(before, ("unseen", "inconclusive"))
    flipped = int((before[named] != after[named]).sum())
    share = flipped / max(1, int(named.sum()))
    detail = f"{flipped} of {int(named.sum())} named decisions change"
    return Gate(name, share <= rules.max_flips, share, rules.max_flips, detail)


def _auroc(champion: Judge, challenger: Judge, reference: Sample, *, rules: GateRules) -> Gate:
    old, new = left_out_auroc(champion, reference), left_out_auroc(challenger, reference)
    detail = f"leave-one-generator-out AUROC from {old:.3f} to {new:.3f}"
    return Gate("left_out_auroc", old - new <= rules.max_auroc_loss, old - new, rules.max_auroc_loss, detail)


def _golden(champion: Judge, challenger: Judge, golden: NDArray[np.float32], *, rules: GateRules) -> Gate:
    """The classes that both know must give the golden embeddings nearly the same p-values, on the mean of a class.

    A single image may gain a neighbour among images that became known, which they are there for; what moves a class
    moves the others too. Reported is the class that comes nearest to what it may move, or exceeds it most.
    """
    shared = [name for name in champion.classes if name in challenger.classes]
    if not len(golden) or not shared:
        return Gate("golden_answers", True, 0.0, rules.max_golden_change, "there are 0 golden images")
    own = [champion.classes.index(name) for name in shared]
    old = champion.density.p_values(golden)[:, own]  # (G, K)
    new = challenger.density.p_values(golden)[:, [challenger.classes.index(name) for name in shared]]
    errors = _standard_errors(old, champion.density.calibration_counts_[own]).mean(axis=0)  # (K,)
    allowed = np.maximum(rules.max_golden_change, rules.golden_errors * errors)
    changes = np.abs(old - new).mean(axis=0)
    worst = int(np.argmax(changes / allowed))
    change, limit = float(changes[worst]), float(allowed[worst])
    detail = (
        f"p-values of {shared[worst]} for {len(golden)} golden images change by {change:.3f} on the mean, "
        f"{limit:.3f} is allowed"
    )
    return Gate("golden_answers", change <= limit, change, limit, detail)


def _standard_errors(p_values: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of p-values (G, K) from n calibration images a class (K,): shares of n + 1, a step away from 0 and 1."""
    step = 1 / (counts + 1)
    within = np.clip(p_values, step, 1 - step)
    errors: NDArray[np.float64] = np.sqrt(within * (1 - within) * step)
    return errors


def _names(reference: Sample) -> NDArray[np.str_]:
    if reference.names is None:
        raise ValueError("a reference of 0 names cannot be compared: its images need their makers' names")
    return reference.names
