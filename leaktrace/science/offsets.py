"""What is added to a new class's score: as much as its likelihood asks for, and no more than known answers bear.

A class that is placed by its examples' centres lies nearer to every image than classes that were trained to be told
apart, so its score needs an offset; and the evidence of linear discriminants counts by a slope. Knows nothing of
prototypes, discriminants or densities.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from leaktrace.science.gates import GateRules

Floats = NDArray[np.float64]

# Of what the gates allow. The rest is for live images: no offset was chosen on those, and the same gate waits for them.
SPENT = 0.5
# Scores are float32: an answer that hangs on less than this share of their spread is not counted as kept.
_MARGIN = 1e-5
# Of what evidence says, in logits between typical images. Chosen on validation images, three generators at a time left
# out of the networks (docs/experiments.md): more changes nothing.
_STEEPNESS = 40.0


@dataclass(frozen=True)
class Calibrating:
    """Calibration images: scores (N, K) of all classes, makers (N,), and `index` of the new class among the K.

    `named` (N,) is the class that each image was given before the new one came, -1 where it was given none, and
    `evidence` (N,) what discriminants say for the new class, in whatever unit.
    """

    scores: Floats
    labels: NDArray[np.int64]
    named: NDArray[np.int64]
    evidence: Floats
    index: int

    def weighed(self, slope: float) -> "Calibrating":
        """The same images with `slope` times the evidence in the new class's score, and none left."""
        scores = self.scores.copy()
        scores[:, self.index] += slope * self.evidence
        return replace(self, scores=scores, evidence=np.zeros_like(self.evidence))


def steep_slope(images: Calibrating, *, temperature: float) -> float:
    """The slope at which evidence lifts the new class's typical image by 40 logits over a typical other one.

    As much as likelihood asks for (a tenth of it, where classes overlap) leaves a wide belt in which neither class is
    likely enough to be named, and the offset, which spares known answers, pushes all of it over the new class's images.
    """
    own = images.labels == images.index
    reach = float(np.median(images.evidence[own]) - np.median(images.evidence[~own]))
    return _STEEPNESS * temperature / reach if reach > 0 else 0.0


def fit_offset(images: Calibrating) -> tuple[float, float]:
    """The offset of the new class and the temperature that make the log-likelihood of the scores greatest.

    Each class counts alike, so that a class with few images is not sacrificed to the others.
    """
    scores, labels, index = images.scores, images.labels, images.index
    # (N,), the offset that makes a tie
    others = np.delete(scores, index, axis=1).max(axis=1) - scores[:, index]
    spread = float(np.ptp(others)) or 1.0
    weights = (1 / np.bincount(labels))[labels]

    def loss(point: Floats) -> float:
        shifted = scores.copy()
        shifted[:, index] += point[0] * spread
        logits = shifted / np.exp(point[1])
        picked = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return float((weights * (logsumexp(logits, axis=1) - picked)).sum())

    middle = (np.median(others[labels == index]) + np.median(others[labels != index])) / 2 / spread
    start = np.array([middle, np.log(max(1e-2, float(scores.std())) / 4)])
    best: Any = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400})  # type: ignore[no-untyped-call]
    return float(best.x[0] * spread), float(np.exp(best.x[1]))


def largest_offset(
    images: Calibrating, *, temperature: float, min_probability: float, rules: GateRules
) -> float:
    """The largest offset at which these images spend half of what the gates allow in flips and class recalls.

    Minus infinity when the temperature alone changes more answers than they allow.
    """
    named = images.named >= 0
    bounds = _bounds(images, temperature=temperature, min_probability=min_probability)
    most = _bearable(bounds[named], lost=SPENT * rules.max_flips * named.sum())
    for label in np.unique(images.labels[images.labels != images.index]):
        own = images.labels == label
        recalled = own & (images.named == label)
        most = min(most, _bearable(bounds[recalled], lost=SPENT * rules.max_class_loss * own.sum()))
    return most


def _bounds(images: Calibrating, *, temperature: float, min_probability: float) -> Floats:
    """For each image (N,), the offset up to which the class that it was named keeps it.

    It must stay the likeliest, and as likely as a named one must be: p / (1 + r) >= least, where p was its probability
    among the others and r is the new class's odds against all of them.
    """
    logits = images.scores / temperature
    others = np.delete(logits, images.index, axis=1)
    total = logsumexp(others, axis=1)
    own = np.take_along_axis(logits, np.maximum(images.named, 0)[:, None], axis=1)[:, 0]
    with np.errstate(divide="ignore"):
        odds = np.log(np.maximum(np.exp(own - total) / max(min_probability, 1e-9) - 1, 0))
    bounds = temperature * np.minimum(own, total + odds) - images.scores[:, images.index]
    return np.asarray(bounds - _MARGIN * np.ptp(images.scores), dtype=np.float64)


def _bearable(bounds: Floats, *, lost: float) -> float:
    """The largest offset that exceeds no more of the bounds than may be lost."""
    allowed = int(np.floor(lost + 1e-9))
    return float(np.sort(bounds)[allowed]) if allowed < len(bounds) else np.inf
