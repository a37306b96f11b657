"""UMAP: points of many dimensions laid out in the plane, so that what is near one another stays so.

In numpy on whole arrays, for a few thousand points: the usual library would bring a compiler of 200 MB to every worker.
The layout starts from the first two principal components and draws by a given generator, so it repeats exactly.

Source: McInnes, Healy and Melville 2018, algorithms 1 to 5 (arXiv:1802.03426).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Of 1 / (1 + a d^2b), fitted to a minimal distance of 0.1 at a spread of 1.
CURVE_A, CURVE_B = 1.577, 0.895
LARGEST_STEP = 4.0
BISECTIONS = 40
PARTS = 6  # of an epoch: points that share edges do not all move on what stood before it
START_RADIUS = 10.0


@dataclass(frozen=True)
class LayoutRules:
    """How many neighbours count, how many times each edge pulls at most, and how many points push for each pull."""

    neighbours: int = 15
    epochs: int = 200
    pushes: int = 5


def lay_out(points: ArrayLike, *, rules: LayoutRules, random: np.random.Generator) -> Floats:
    """Places (N, 2) between 0 and 1 for points (N, D), in one scale for both axes.

    Raises:
        ValueError: there are fewer than three points.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or len(values) < 3:
        raise ValueError(f"points have shape {values.shape}; at least (3, D) is needed")
    places = _start(values, random=random)
    heads, tails, weights = _edges(values, neighbours=min(rules.neighbours, len(values) - 1))
    for epoch in range(rules.epochs):
        step = 1.0 - epoch / rules.epochs
        pulling = np.flatnonzero(random.random(len(weights)) < weights)
        for part in np.array_split(random.permutation(pulling), PARTS):
            _pull(places, heads[part], tails[part], step=step)
            _push(places, heads[part], pushes=rules.pushes, step=step, random=random)
    return _in_unit_square(places)


def _start(values: Floats, *, random: np.random.Generator) -> Floats:
    """The first two principal components, with a little noise that parts equal points."""
    centred = values - values.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:2]
    places = np.zeros((len(values), 2))
    places[:, : len(components)] = centred @ components.T
    places *= START_RADIUS / max(float(np.abs(places).max()), 1e-12)
    noisy: Floats = places + random.normal(scale=1e-3, size=places.shape)
    return noisy


def _edges(values: Floats, *, neighbours: int) -> tuple[Rows, Rows, Floats]:
    """Ends and weights of the fuzzy graph, its heaviest edge 1, each edge once."""
    distances, others = NearestNeighbors(n_neighbors=neighbours + 1).fit(values).kneighbors(values)
    distances, others = distances[:, 1:], others[:, 1:]  # without the point itself
    beyond = np.maximum(distances - distances[:, :1], 0.0)
    membership = np.exp(-beyond / _widths(beyond)[:, None])
    one_way = np.zeros((len(values), len(values)))  # (N, N), as dense as a few thousand points allow
    np.put_along_axis(one_way, others, membership, axis=1)
    both = np.triu(one_way + one_way.T - one_way * one_way.T, k=1)
    heads, tails = np.nonzero(both)
    weights = both[heads, tails]
    return heads, tails, weights / weights.max()


def _widths(beyond: Floats) -> Floats:
    """For each point the width at which its memberships sum to log2 of their number."""
    wanted = np.log2(beyond.shape[1]) if beyond.shape[1] > 1 else 1.0
    low, high = np.full(len(beyond), 1e-9), np.full(len(beyond), max(float(beyond.max()), 1e-6) * 64)
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        too_wide = np.exp(-beyond / middle[:, None]).sum(axis=1) > wanted
        low, high = np.where(too_wide, low, middle), np.where(too_wide, middle, high)
    widths: Floats = np.sqrt(low * high)
    return widths


def _pull(places: Floats, heads: Rows, tails: Rows, *, step: float) -> None:
    apart = places[heads] - places[tails]
    squared = np.maximum((apart**2).sum(axis=1), 1e-12)
    force = -2 * CURVE_A * CURVE_B * squared ** (CURVE_B - 1) / (1 + CURVE_A * squared**CURVE_B)
    move = step * np.clip(force[:, None] * apart, -LARGEST_STEP, LARGEST_STEP)
    np.add.at(places, heads, move)
    np.add.at(places, tails, -move)


def _push(places: Floats, heads: Rows, *, pushes: int, step: float, random: np.random.Generator) -> None:
    """Drive the heads away from points that are drawn by lot, which is nearly always none of their neighbours."""
    pushed = np.repeat(heads, pushes)
    apart = places[pushed] - places[random.integers(len(places), size=len(pushed))]
    squared = (apart**2).sum(axis=1)
    force = 2 * CURVE_B / ((1e-3 + squared) * (1 + CURVE_A * squared**CURVE_B))
    np.add.at(places, pushed, step * np.clip(force[:, None] * apart, -LARGEST_STEP, LARGEST_STEP))


def _in_unit_square(places: Floats) -> Floats:
    low, high = places.min(axis=0), places.max(axis=0)
    middle, size = (low + high) / 2, max(float((high - low).max()), 1e-12)
    unit: Floats = (places - middle) / size + 0.5
    return unit
