"""The figures of an open-set evaluation, each for all bootstrap resamples at once.

One sign rule: a higher novelty means less like any known generator, so an unseen image is a positive. `novelty` is
(N,), `unseen` (N,) true for images of generators that the model does not know, `counts` (R, N) as in resampling.py.
Knows nothing of how novelty was found.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.training.metrics import Floats, auroc, tallies

Mask = NDArray[np.bool_]
OpenFigure = Callable[[Floats, Mask, Floats], Floats]

WANTED_TPR = 0.95
_ROUNDING = 1e-12


def aupr(novelty: Floats, unseen: Mask, counts: Floats) -> Floats:
    """Average precision of finding the unseen; what chance gives is their share of the images."""
    known, strange = tallies(novelty, unseen, counts)
    found, wrong = _at_least(strange), _at_least(known)
    precision = found / np.maximum(found + wrong, 1)
    return np.asarray((strange * precision).sum(1) / strange.sum(1))


def equal_error_rate(novelty: Floats, unseen: Mask, counts: Floats) -> Floats:
    """Where known images called unseen are as frequent as unseen ones missed: the mean of the two nearest rates."""
    false_positive, true_positive = rates(novelty, unseen, counts)
    missed = 1 - true_positive
    nearest = np.abs(false_positive - missed).argmin(axis=1)[:, None]
    both = np.take_along_axis(false_positive + missed, nearest, axis=1)
    return np.asarray(both[:, 0] / 2)


def fpr_at_tpr(novelty: Floats, unseen: Mask, counts: Floats) -> Floats:
    """The share of known images called unseen when at least 95 % of the unseen are."""
    false_positive, true_positive = rates(novelty, unseen, counts)
    enough = true_positive >= WANTED_TPR - _ROUNDING
    last = (
        enough.shape[1] - 1 - enough[:, ::-1].argmax(axis=1)
    )  # the highest threshold that still finds enough
    return np.take_along_axis(false_positive, last[:, None], axis=1)[:, 0]


def oscr(novelty: Floats, unseen: Mask, counts: Floats, *, right: Mask) -> Floats:
    """Area under correct classification of known over acceptance of unseen (Dhamija et al. 2018, equation 6).

    It is the probability that a known image is classified rightly and is less novel than an unseen one; ties count
    half. `right` (N,) says which known images are named rightly.
    """
    known, strange = tallies(novelty, unseen, counts * (unseen | right))
    above = _at_least(strange) - strange / 2
    known_drawn = counts[:, ~unseen].sum(axis=1)
    return np.asarray((known * above).sum(1) / (known_drawn * strange.sum(1)))


def rates(novelty: Floats, unseen: Mask, counts: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates (R, U + 1) when an image counts as unseen from each distinct novelty on.

    Thresholds ascend; the last one is above every novelty, where both rates are 0.
    """
    known, strange = tallies(novelty, unseen, counts)
    ends = np.zeros((len(counts), 1))
    return tuple(  # type: ignore[return-value]
        np.hstack([_at_least(side) / side.sum(axis=1, keepdims=True), ends]) for side in (known, strange)
    )


OPEN_FIGURES: dict[str, OpenFigure] = {
    "auroc": auroc,
    "aupr": aupr,
    "eer": equal_error_rate,
    "fpr_at_95_tpr": fpr_at_tpr,
}


def _at_least(drawn: Floats) -> Floats:
    """Cumulative sums from the right: (R, U) -> (R, U)."""
    return np.cumsum(drawn[:, ::-1], axis=1)[:, ::-1]
