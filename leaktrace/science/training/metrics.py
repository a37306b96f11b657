"""The figures of a closed-set evaluation, each for all bootstrap resamples at once.

`probabilities` are (N, K), `labels` (N,) indices into the K classes, `counts` (R, N) how often a resample drew each
image (see resampling.py); a figure is (R,). A single row of ones gives the plain figure. Knows nothing of models,
files or protocols.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Figure = Callable[[Floats, Labels, Floats], Floats]

BINS = 10


def tallies(scores: Floats, positive: NDArray[np.bool_], counts: Floats) -> tuple[Floats, Floats]:
    """Drawn negatives and positives at each of the U distinct scores, ascending: two arrays (R, U)."""
    if not positive.any() or positive.all():
        raise ValueError(
            f"both sides are needed, not {int((~positive).sum())} negatives and {int(positive.sum())} positives"
        )
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    drawn = counts[:, order]
    sides = (drawn * ~positive[order], drawn * positive[order])
    return tuple(np.add.reduceat(side, starts, axis=1) for side in sides)  # type: ignore[return-value]


def auroc(scores: Floats, positive: NDArray[np.bool_], counts: Floats) -> Floats:
    """The probability that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    negatives, positives = tallies(scores, positive, counts)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return np.asarray((positives * below).sum(1) / (positives.sum(1) * negatives.sum(1)))


def class_aucs(probabilities: Floats, labels: Labels, counts: Floats) -> dict[int, Floats]:
    """One-versus-rest AUC of every class that has an image and a rival."""
    present = [c for c in range(probabilities.shape[1]) if 0 < int((labels == c).sum()) < len(labels)]
    return {c: auroc(probabilities[:, c], labels == c, counts) for c in present}


def macro_auc(probabilities: Floats, labels: Labels, counts: Floats) -> Floats:
    """The mean of the one-versus-rest AUCs."""
    return np.asarray(np.mean(list(class_aucs(probabilities, labels, counts).values()), axis=0))


def top1(probabilities: Floats, labels: Labels, counts: Floats) -> Floats:
    """The share of images whose likeliest class is the right one."""
    return _mean(counts, probabilities.argmax(axis=1) == labels)


def balanced_accuracy(probabilities: Floats, labels: Labels, counts: Floats) -> Floats:
    """The mean over classes of the share that is right."""
    right = probabilities.argmax(axis=1) == labels
    of_class = [_mean(counts[:, labels == c], right[labels == c]) for c in np.unique(labels)]
    return np.asarray(np.mean(of_class, axis=0))


def calibration_error(probabilities: Floats, labels: Labels, counts: Floats) -> Floats:
    """Expected calibration error of the likeliest class, ten bins of equal width (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    gaps = (probabilities.argmax(axis=1) == labels) - confidence
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    totals = [np.abs(counts[:, bins == b] @ gaps[bins == b]) for b in np.unique(bins)]
    return np.asarray(np.sum(totals, axis=0) / counts.sum(axis=1))


def calibration_error_by_chance(probabilities: Floats, *, draws: int = 1000, seed: int = 0) -> Floats:
    """The errors (1 + draws,) of a model whose probabilities are exactly right; the first is their mean.

    Bins of few images have gaps by chance, so even such a model has an error above 0 (Vaicenavicius et al. 2019).
    """
    steps = probabilities.cumsum(axis=1)
    chances = np.random.default_rng(seed).random((draws, len(probabilities), 1)) * steps[:, -1:]
    once = np.ones((1, len(probabilities)))
    errors = [calibration_error(probabilities, (steps <= chance).sum(axis=1), once)[0] for chance in chances]
    return np.array([np.mean(errors), *errors])


def brier(probabilities: Floats, labels: Labels, counts: Floats) -> Floats:
    """Mean squared distance between the probabilities and the truth, 0 to 2 (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return _mean(counts, np.square(probabilities - truth).sum(axis=1))


FIGURES: dict[str, Figure] = {
    "macro_auc": macro_auc,
    "top1": top1,
    "balanced_accuracy": balanced_accuracy,
    "ece": calibration_error,
    "brier": brier,
}


def confusion(probabilities: Floats, labels: Labels) -> NDArray[np.int64]:
    """How many images of each class (rows) are most like each class (columns): (K, K)."""
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _mean(counts: Floats, values: NDArray[np.bool_] | Floats) -> Floats:
    return np.asarray(counts @ values.astype(np.float64) / counts.sum(axis=1))
