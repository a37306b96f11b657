"""Gaussian kernel density over a million points that leaves out what provably does not matter.

Points are grouped into cells by k-means. A cell whose centre is D away and whose radius is R has no point nearer than
D - R, so its kernels are bounded before any of them is computed; cells are skipped while all that is skipped changes
the log density by at most `tolerance`. Nothing is approximate beyond that: what is visited is exact. Knows nothing of
generators, classes or calibration.
"""

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.kde import BANDWIDTHS, GaussianKDE
from leaktrace.science.log_density import LogDensity

Floats = NDArray[np.float64]

TOLERANCE_NATS = 1e-6
_CHUNK_BYTES = 64 << 20
_MOST_CELLS = 1000
_POINTS_PER_CELL = 100
_SAMPLE_PER_CELL = 50
_BANDWIDTH_SAMPLE = 10_000
# Distances are rounded; a radius that is a little too large keeps the bound a bound.
_RADIUS_SLACK = 1 + 1e-9


class TruncatedKDE(LogDensity):
    """p(x) as `GaussianKDE` gives it, too small by at most `tolerance` nats.

    Parameters
    ----------
    bandwidth : a number, or "likelihood" for what `GaussianKDE` chooses by `bandwidths` and `folds` on at most
        10,000 of the points.
    tolerance : the most that the omitted kernels may add to a log density.
    cells : number of cells, or None for one per 100 points, at most 1,000.
    """

    def __init__(
        self,
        bandwidth: float | Literal["likelihood"] = "likelihood",
        *,
        bandwidths: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
        tolerance: float = TOLERANCE_NATS,
        cells: int | None = None,
        random_state: int = 0,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        self.bandwidth = bandwidth
        self.bandwidths = bandwidths
        self.folds = folds
        self.tolerance = tolerance
        self.cells = cells
        self.random_state = random_state
        self.chunk_bytes = chunk_bytes

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Group the points (n, d) into cells. Raises ValueError naming what does not fit."""
        points = self._checked(X, reset=True)
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance}; it must be a positive number of nats")
        self.bandwidth_ = self._settled_bandwidth(points)
        centres = self._centres(points)
        labels, distances = self._nearest(points, centres)
        order = np.argsort(labels, kind="stable")
        used, starts = np.unique(labels[order], return_index=True)
        self.cells_ = [
            GaussianKDE(self.bandwidth_, chunk_bytes=self.chunk_bytes).fit(points[rows])
            for rows in np.split(order, starts[1:])
        ]
        self.centres_: Floats = centres[used]
        self.radii_: Floats = np.maximum.reduceat(distances[order], starts) * _RADIUS_SLACK
        counts = np.diff([*starts, len(points)])
        self.log_weights_: Floats = np.log(counts / len(points))
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log density (m,) in nats of each row of X (m, d), at most `tolerance` too small."""
        return self.bounded_scores(X)[0]

    def bounded_scores(self, X: ArrayLike) -> tuple[Floats, Floats]:
        """Log density (m,) and, for each row, a bound in nats on how much too small it is."""
        check_is_fitted(self)
        queries = self._checked(X, reset=False)
        step = max(1, self.chunk_bytes // (8 * 4 * len(self.cells_)))
        parts = [self._bounded(queries[start : start + step]) for start in range(0, len(queries), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _settled_bandwidth(self, points: Floats) -> float:
        random = np.random.default_rng(self.random_state)
        sample = random.choice(len(points), min(len(points), _BANDWIDTH_SAMPLE), replace=False)
        searched = GaussianKDE(
            self.bandwidth, bandwidths=self.bandwidths, folds=self.folds, random_state=self.random_state
        )
        return searched.fit(points[np.sort(sample)]).bandwidth_

    def _bounded(self, queries: Floats) -> tuple[Floats, Floats]:
        """First each query's most promising cell, then all that its sum does not yet make negligible."""
        most = self._most_per_cell(queries)  # (m, C) log of the most that a cell can add
        nearest = np.zeros(most.shape, dtype=np.bool_)
        nearest[np.arange(len(queries)), most.argmax(axis=1)] = True
        found = self._visit(queries, nearest, np.full(len(queries), -np.inf))
        omitted = _negligible(
            np.where(nearest, -np.inf, most), below=found + np.log(np.expm1(self.tolerance))
        )
        found = self._visit(queries, ~omitted & ~nearest, found)
        left = logsumexp(np.where(omitted & ~nearest, most, -np.inf), axis=1)
        bounds: Floats = np.logaddexp(0, left - found)
        return found, bounds

    def _most_per_cell(self, queries: Floats) -> Floats:
        gaps = np.maximum(cdist(queries, self.centres_) - self.radii_, 0)
        constant = queries.shape[1] * np.log(self.bandwidth_ * np.sqrt(2 * np.pi))
        most: Floats = self.log_weights_ - gaps**2 / (2 * self.bandwidth_**2) - constant
        return most

    def _visit(self, queries: Floats, wanted: NDArray[np.bool_], found: Floats) -> Floats:
        """Add to the log sums `found` (m,) the cells that are `wanted` (m, C)."""
        total = found.copy()
        for index in np.flatnonzero(wanted.any(axis=0)):
            rows = np.flatnonzero(wanted[:, index])
            added = self.log_weights_[index] + self.cells_[index].score_samples(queries[rows])
            total[rows] = np.logaddexp(total[rows], added)
        return total

    def _centres(self, points: Floats) -> Floats:
        count = self.cells or min(_MOST_CELLS, max(1, len(points) // _POINTS_PER_CELL))
        random = np.random.default_rng(self.random_state)
        sample = random.choice(len(points), min(len(points), _SAMPLE_PER_CELL * count), replace=False)
        kmeans = MiniBatchKMeans(min(count, len(sample)), n_init=1, random_state=self.random_state)
        centres: Floats = kmeans.fit(points[sample]).cluster_centers_.astype(np.float64)
        return centres

    def _nearest(self, points: Floats, centres: Floats) -> tuple[NDArray[np.intp], Floats]:
        """Each point's cell (n,) and its distance to the centre (n,)."""
        labels, distances = np.empty(len(points), dtype=np.intp), np.empty(len(points))
        step = max(1, self.chunk_bytes // (8 * len(centres)))
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            block = cdist(points[rows], centres)
            labels[rows] = block.argmin(axis=1)
            distances[rows] = block.min(axis=1)
        return labels, distances


def _negligible(most: Floats, *, below: Floats) -> NDArray[np.bool_]:
    """The cells (m, C) with the smallest bounds, as many as together stay `below` (m,), all in logs."""
    order = np.argsort(most, axis=1)
    together = np.logaddexp.accumulate(np.take_along_axis(most, order, axis=1), axis=1)
    chosen = np.zeros(most.shape, dtype=np.bool_)
    np.put_along_axis(chosen, order, together <= below[:, None], axis=1)
    return chosen
