"""The figures of an evaluation, each from plain arrays, and their bootstrap intervals over images.

`probabilities` are (N, K), `labels` (N,) indices into the K classes. A higher novelty means less like any known
generator. Knows nothing of models, files or protocols.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Figure = Callable[[Floats, Labels], float]

BINS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


def auroc(negatives: Floats, positives: Floats) -> float:
    """The probability that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    if not len(negatives) or not len(positives):
        raise ValueError(
            f"both sides are needed, not {len(negatives)} negatives and {len(positives)} positives"
        )
    ranks = rankdata(np.concatenate([positives, negatives]))[: len(positives)]
    wins = ranks.sum() - len(positives) * (len(positives) + 1) / 2
    return float(wins / (len(positives) * len(negatives)))


def class_aucs(probabilities: Floats, labels: Labels) -> dict[int, float]:
    """One-versus-rest AUC of every class that has an image and a rival."""
    present = [c for c in range(probabilities.shape[1]) if 0 < int((labels == c).sum()) < len(labels)]
    return {c: auroc(probabilities[labels != c, c], probabilities[labels == c, c]) for c in present}


def macro_auc(probabilities: Floats, labels: Labels) -> float:
    """The mean of the one-versus-rest AUCs."""
    return float(np.mean(list(class_aucs(probabilities, labels).values())))


def top1(probabilities: Floats, labels: Labels) -> float:
    """The share of images whose likeliest class is the right one."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def balanced_accuracy(probabilities: Floats, labels: Labels) -> float:
    """The mean over classes of the share that is right."""
    right = probabilities.argmax(axis=1) == labels
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))


def calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Expected calibration error of the likeliest class, ten bins of equal width (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        np.mean(bins == b) * abs(right[bins == b].mean() - confidence[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


FIGURES: dict[str, Figure] = {
    "macro_auc": macro_auc,
    "top1": top1,
    "balanced_accuracy": balanced_accuracy,
    "ece": calibration_error,
}


def with_interval(figure: Figure, probabilities: Floats, labels: Labels, *, seed: int = 0) -> Interval:
    """A figure and its interval over resamples of the images, each class resampled within itself."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    values = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([generator.choice(rows, len(rows)) for rows in members])
        values.append(figure(probabilities[chosen], labels[chosen]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(figure(probabilities, labels), float(low), float(high))


def auroc_with_interval(known: Floats, unseen: Floats, *, seed: int = 0) -> Interval:
    """How well novelty tells unseen images from known ones, each side resampled within itself."""
    generator = np.random.default_rng(seed)
    values = [
        auroc(generator.choice(known, len(known)), generator.choice(unseen, len(unseen)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(auroc(known, unseen), float(low), float(high))
