"""Exact Gaussian kernel density in float64, as a scikit-learn estimator that stays fast in 128 dimensions.

Trees prune nothing at that dimension and, at small bandwidths, are wrong by many nats; here every pair counts. A
block of queries costs one matrix product and one log-sum-exp, and the search for a bandwidth computes each pair's
distance once for all bandwidths and folds. It knows nothing of generators, classes or calibration.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.log_density import LogDensity

Floats = NDArray[np.float64]

BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
# Distances from a matrix product are used only while their rounding error stays under this in a log density.
_TOLERANCE_NATS = 5e-10
_CHUNK_BYTES = 8 << 20
# The passes over a block that follow its matrix product are done on parts that stay in a core's own cache.
_CACHE_BYTES = 1 << 19
# Kernels under e^-700 of the nearest one's add nothing, and exponentials that underflow take ten times as long.
_NEGLIGIBLE_EXPONENT = -700.0


class GaussianKDE(LogDensity):
    """p(x) = 1/n sum_i N(x; x_i, h^2 I), with one bandwidth h for all dimensions: standardise first.

    Parameters
    ----------
    bandwidth : a number, or "likelihood" for the one of `bandwidths` with the highest held-out likelihood.
    bandwidths, folds, random_state : the candidates, and the shuffled folds that they are compared on.
    chunk_bytes : memory for one block of distances; the answer does not depend on it beyond 1e-9 nats.

    Attributes
    ----------
    bandwidth_ : float ; points_ : (n, d) float64, centred ; center_ : (d,)
    log_likelihoods_ : (len(bandwidths),) total held-out log density, when a search was made.
    """

    def __init__(
        self,
        bandwidth: float | Literal["likelihood"] = "likelihood",
        *,
        bandwidths: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
        random_state: int = 0,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        self.bandwidth = bandwidth
        self.bandwidths = bandwidths
        self.folds = folds
        self.random_state = random_state
        self.chunk_bytes = chunk_bytes

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Keep the points (n, d) and settle the bandwidth. Raises ValueError naming what does not fit."""
        points = self._checked(X, reset=True)
        # Centring costs nothing and keeps |x|^2 + |y|^2 - 2 xy from cancelling far from the origin.
        self.center_: Floats = points.mean(axis=0)
        self.points_: Floats = points - self.center_
        if isinstance(self.bandwidth, str):
            self.log_likelihoods_ = self._held_out_likelihoods()
            self.bandwidth_ = float(self.bandwidths[int(np.argmax(self.log_likelihoods_))])
        else:
            self.bandwidth_ = float(_positive([self.bandwidth])[0])
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log density (m,) in nats of each row of X (m, d)."""
        check_is_fitted(self)
        queries = self._checked(X, reset=False) - self.center_
        densities: Floats = self._log_densities(
            queries, self.points_, bandwidths=np.array([self.bandwidth_])
        )[0]
        return densities

    def _held_out_likelihoods(self) -> Floats:
        """Every fold against all others, each pair's distance computed once for all bandwidths."""
        bandwidths = _positive(self.bandwidths)
        if self.bandwidth != "likelihood":
            raise ValueError(f"bandwidth is {self.bandwidth!r}; it must be a positive number or 'likelihood'")
        if not 2 <= self.folds <= len(self.points_):
            raise ValueError(f"{self.folds} folds cannot be made of n_samples = {len(self.points_)}")
        total = np.zeros(len(bandwidths))
        splits = KFold(self.folds, shuffle=True, random_state=self.random_state).split(self.points_)
        for kept, held in splits:
            total += self._log_densities(self.points_[held], self.points_[kept], bandwidths=bandwidths).sum(
                axis=1
            )
        return total

    def _log_densities(self, queries: Floats, points: Floats, *, bandwidths: Floats) -> Floats:
        """Log densities (len(bandwidths), m) of queries (m, d) under kernels at points (n, d)."""
        dimensions = points.shape[1]
        normalisers = np.log(len(points)) + dimensions * np.log(bandwidths * np.sqrt(2 * np.pi))
        precision = 0.5 / bandwidths**2
        sums = np.empty((len(bandwidths), len(queries)))
        for rows, distances, offsets in self._blocks(queries, points, sharpest=float(precision.max())):
            sums[:, rows] = _log_sums(distances, offsets, precision=precision)
        densities: Floats = sums - normalisers[:, None]
        return densities

    def _blocks(
        self, queries: Floats, points: Floats, *, sharpest: float
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """Squared distances of a few queries at a time, as (rows, n) + (rows, 1), within `chunk_bytes`.

        The block is overwritten by the next one, since fresh pages for each would cost more than the arithmetic.
        """
        query_norms = np.einsum("ij,ij->i", queries, queries)
        point_norms = np.einsum("ij,ij->i", points, points)
        # Rounding of the product form, bounded by the largest terms that cancel.
        largest = query_norms.max(initial=0) + point_norms.max(initial=0)
        exact = 4 * np.finfo(np.float64).eps * largest * sharpest > _TOLERANCE_NATS
        # |x - y|^2 = |x|^2 + [-2 x, 1] . [y, |y|^2]; the first term is the same for all points.
        widened_queries = np.column_stack([-2 * queries, np.ones(len(queries))])
        widened_points = np.column_stack([points, point_norms]).T
        step = max(1, self.chunk_bytes // (8 * len(points)))
        block = np.empty((min(step, len(queries)), len(points)))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            distances = block[: len(queries[rows])]
            if exact:
                cdist(queries[rows], points, "sqeuclidean", out=distances)
                yield rows, distances, np.zeros(len(distances))
            else:
                np.matmul(widened_queries[rows], widened_points, out=distances)
                yield rows, distances, query_norms[rows]


def _log_sums(distances: Floats, offsets: Floats, *, precision: Floats) -> Floats:
    """log sum_j exp(-precision (distances_ij + offsets_i)) for each precision and row; `distances` is overwritten."""
    sums = np.empty((len(precision), len(distances)))
    step = max(1, _CACHE_BYTES // distances[0].nbytes)
    buffer = np.empty((min(step, len(distances)), distances.shape[1]))
    for start in range(0, len(distances), step):
        rows = slice(start, start + step)
        part = distances[rows]
        nearest = part.min(axis=1, keepdims=True)
        part -= nearest
        shift = np.maximum(nearest[:, 0] + offsets[rows], 0)
        kernels = buffer[: len(part)]
        for index, weight in enumerate(precision):
            np.multiply(part, -weight, out=kernels)
            np.maximum(kernels, _NEGLIGIBLE_EXPONENT, out=kernels)
            np.exp(kernels, out=kernels)
            sums[index, rows] = np.log(kernels.sum(axis=1)) - weight * shift
    return sums


def _positive(bandwidths: Sequence[float]) -> Floats:
    values = np.asarray(bandwidths, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(f"bandwidths are {list(bandwidths)!r}; each must be a positive finite number")
    return values
