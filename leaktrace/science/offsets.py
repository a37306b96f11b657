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
# Logits between typical images of the new class and of the others; where nothing speaks against it, more is no use.
_ENOUGH = 10.0
_WEIGHT_OF_ENOUGH = 0.01
# Of the logarithm of the slope, the offset and the logarithm of the temperature, in units of the scores and evidence.
_BOUNDS = ((-8.0, 8.0), (-8.0, 8.0), (-8.0, 4.0))


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


@dataclass(frozen=True)
class ScoreFit:
    """What a new class's evidence is multiplied by, what is added to its score, and the temperature of all scores."""

    slope: float
    offset: float
    temperature: float


def fit_score(images: Calibrating) -> ScoreFit:
    """The slope, offset and temperature that make the log-likelihood greatest.

    Each class counts alike, so that a class with few images is not sacrificed to the others. Where evidence tells the
    new class apart without an error its slope would grow without end, so it is drawn to what is enough.
    """
    labels, index = images.labels, images.index
    weights = (1 / np.bincount(labels))[labels]
    own = labels == index
    reach = max(1e-9, float(np.median(images.evidence[own]) - np.median(images.evidence[~own])))
    spread = max(1e-2, float(images.scores.std()))

    def unpacked(point: Floats) -> ScoreFit:
        slope, temperature = spread * np.exp(point[0]) / reach, spread * np.exp(point[2])
        # The middle between the new class's images and the others moves with the slope; the offset is meant from there.
        return ScoreFit(
            float(slope), float(spread * point[1] + _middle(images.weighed(slope))), float(temperature)
        )

    def loss(point: Floats) -> float:
        fit = unpacked(point)
        logits = images.weighed(fit.slope).scores
        logits[:, index] += fit.offset
        logits /= fit.temperature
        picked = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        excess = fit.slope * reach / fit.temperature / _ENOUGH
        return float((weights * (logsumexp(logits, axis=1) - picked)).sum() + _WEIGHT_OF_ENOUGH * excess**2)

    start = np.array([0.0, 0.0, np.log(0.25)])
    options = {"maxiter": 600}
    best: Any = minimize(loss, start, method="Nelder-Mead", bounds=_BOUNDS, options=options)  # type: ignore[no-untyped-call]
    return unpacked(best.x)


def _middle(images: Calibrating) -> float:
    """The offset at which half of the way between the new class's images and the others a tie is made."""
    others = np.delete(images.scores, images.index, axis=1).max(axis=1)
    ties = others - images.scores[:, images.index]  # (N,), the offset that makes a tie
    own = images.labels == images.index
    return float((np.median(ties[own]) + np.median(ties[~own])) / 2)


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
