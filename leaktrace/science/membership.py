"""Which images of a rough group are its own, and which are known generators' false alarms that lie beside it.

At alpha = 0.05 one image in twenty of every known generator is held, too, and stays. In the scales of the known ones an
image belongs to the centre that it lies nearest to: a linear discriminant with their covariance. Knows nothing of how
groups are found.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from leaktrace.science.density import OpenSetDensity

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

ROUNDS = 10


def distances_to_known(whitened: Floats, density: OpenSetDensity) -> Floats:
    """Squared distance (N,) of scaled embeddings (N, d) to the nearest centre of a known generator."""
    known = density.scale(density.embeddings_)
    centres = np.stack(
        [known[density.labels_ == index].mean(axis=0) for index in range(len(density.classes_))]
    )
    nearest: Floats = cdist(whitened, centres, "sqeuclidean").min(axis=1)
    return nearest


def own_members(whitened: Floats, to_known: Floats, rows: Rows, *, least: int, gap: float) -> Rows:
    """Of the `rows` of a group, those nearer to its own centre than to a known one; none when they are no group.

    Leaving some out moves the centre away from the known, so it is done until nothing changes. Source: Fisher 1936
    (linear discriminant), with the centres found as by k-means while the known ones stay.

    Half of a known generator's outliers is nearer to its own centre, too, but has no gap: what its members are nearer
    by is on the mean less than 1.8 times its standard deviation (1.3 for half of a normal distribution, 1.7 for a
    uniform one). `gap` is the least that a group must have.
    """
    kept = np.ones(len(rows), dtype=np.bool_)
    margins = np.zeros(len(rows))
    for _ in range(ROUNDS):
        if kept.sum() < least:
            return rows[:0]
        margins = to_known[rows] - _to_own_centre(whitened[rows], kept)
        if np.array_equal(margins > 0, kept):
            break
        kept = margins > 0
    own = margins[kept]
    return rows[kept] if len(own) >= least and own.mean() >= gap * own.std() else rows[:0]


def _to_own_centre(points: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Squared distances (N,) to the centre of the kept ones, as they were if that centre were known exactly.

    A kept point has drawn the centre towards itself, so its distance is taken to the centre of the others; and a centre
    of n points is off by their variance / n, which lengthens every distance.
    """
    count = int(kept.sum())
    own = points[kept]
    distances = ((points - own.mean(axis=0)) ** 2).sum(axis=1)
    distances[kept] *= (count / (count - 1)) ** 2
    exact: Floats = distances - own.var(axis=0, ddof=1).sum() / np.where(kept, count - 1, count)
    return exact
