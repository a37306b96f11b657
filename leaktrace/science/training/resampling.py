"""Bootstrap resamples of images as counts, so that every figure is computed for all resamples in one pass.

A resample is how often each image was drawn; row 0 draws every image once and gives the figure itself. Each stratum
(a generator) is resampled within itself. Equal strata and seed give equal counts, which is what pairs two models.
Knows nothing of figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % percentile bootstrap interval over images."""

    value: float
    low: float
    high: float


def draw_counts(strata: Sequence[str] | ArrayLike, *, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """How often each of N images is drawn: (1 + resamples, N), row 0 all ones."""
    names = np.asarray(strata)
    if names.ndim != 1 or not len(names):
        raise ValueError(f"strata have shape {names.shape}; one name for each of at least 1 image is needed")
    generator = np.random.default_rng(seed)
    counts = np.ones((1 + resamples, len(names)))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        counts[1:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples)
    return counts


def interval(values: Floats) -> Interval:
    """The interval of a figure's values (1 + resamples,) as the metrics give them. NaN where none is defined."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(drawn, _PERCENTILES)
    return Interval(float(values[0]), float(low), float(high))


def two_sided_p(differences: Floats) -> float:
    """Bootstrap p-value of a difference (1 + resamples,) from zero: twice the smaller tail, never under 1 / (R + 1)."""
    drawn = differences[1:]
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
