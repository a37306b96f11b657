"""Probabilities and p-values of one image -> generator, unseen or inconclusive, with the reason in plain words.

"unseen" is a statement with an error rate, so it is never made at a level that the calibration cannot give; doubt of
any kind is "inconclusive", not the likelier of two guesses. It knows nothing of how the numbers came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaktrace.science.conformal import images_needed

Floats = NDArray[np.float64]

# A floor is recomputed from counts elsewhere; equal fractions must compare as equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Verdict:
    """`generator` is named only by the verdict "generator" ("real" is one like any other).

    `p_value` is max_c p_c: how well the image fits the known class that it fits best.
    """

    verdict: Literal["generator", "unseen", "inconclusive"]
    generator: str | None
    p_value: float
    reason: str


def decide(
    probabilities: ArrayLike,
    p_values: ArrayLike,
    classes: Sequence[str],
    *,
    smallest_p: ArrayLike,
    alpha: float,
    min_probability: float,
) -> Verdict:
    """Decide for one image from (K,) class probabilities, p-values and the smallest p-value of each class.

    Raises ValueError when lengths differ or a number lies outside [0, 1].
    """
    head = _checked(probabilities, classes, name="probabilities")
    fits = _checked(p_values, classes, name="p-values")
    floors = _checked(smallest_p, classes, name="smallest p-values")
    if not 0 < alpha < 1 or not 0 <= min_probability <= 1:
        raise ValueError(
            f"alpha = {alpha} and min_probability = {min_probability} must lie in (0, 1) and [0, 1]"
        )
    p_value = float(fits.max())
    if p_value <= alpha and (floors <= alpha).all():
        reason = f"It fits no known generator: the best p-value is {p_value:.3g}, at most alpha = {alpha:g}."
        return Verdict("unseen", None, p_value, reason)
    best = int(np.argmax(head))
    doubt = _doubt(fits, floors, classes=classes, alpha=alpha)
    doubt = doubt or _doubt_of_best(head, fits, classes=classes, alpha=alpha, least=min_probability)
    if doubt:
        return Verdict("inconclusive", None, p_value, doubt)
    reason = (
        f"{classes[best]} has probability {head[best]:.2f}, at least {min_probability:g}, and the image looks like "
        f"its known images (p = {fits[best]:.3g}, above alpha = {alpha:g})."
    )
    return Verdict("generator", classes[best], p_value, reason)


def _doubt(fits: Floats, floors: Floats, *, classes: Sequence[str], alpha: float) -> str | None:
    """The image may be unseen, but some class has too few calibration images for that to be said at alpha."""
    lowest = fits <= np.maximum(alpha, floors + _ROUNDING)
    if not lowest.all():
        return None
    worst = int(np.argmax(floors))
    count, needed = round(1 / floors[worst]) - 1, images_needed(alpha)
    return (
        f"It is less like every known generator than the calibration can measure, but {classes[worst]} has "
        f"{count} calibration images and alpha = {alpha:g} needs {needed}, so unseen cannot be promised."
    )


def _doubt_of_best(
    head: Floats, fits: Floats, *, classes: Sequence[str], alpha: float, least: float
) -> str | None:
    """The likeliest class is not likely enough, or the image does not look like that class."""
    best = int(np.argmax(head))
    if head[best] < least:
        return f"The likeliest generator, {classes[best]}, has probability {head[best]:.2f}; {least:g} is needed."
    if fits[best] <= alpha:
        closest = classes[int(np.argmax(fits))]
        return (
            f"The classifier says {classes[best]}, but the image does not look like its known images "
            f"(p = {fits[best]:.3g}, at most alpha = {alpha:g}); by density it is closest to {closest}."
        )
    return None


def _checked(values: ArrayLike, classes: Sequence[str], *, name: str) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(classes),):
        raise ValueError(f"{name} have shape {numbers.shape} for {len(classes)} classes")
    if not ((numbers >= 0) & (numbers <= 1 + 1e-6)).all():
        raise ValueError(f"{name} must lie between 0 and 1, not from {numbers.min()} to {numbers.max()}")
    return numbers
