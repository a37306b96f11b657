"""Two more log densities beside the kernel density, neighbours and one Gaussian, and each estimator by its name.

All are in nats, so that they can be exchanged and compared on the same embeddings. Knows nothing of generators, classes
or calibration.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import gammaln
from sklearn.covariance import LedoitWolf
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.kde import GaussianKDE
from leaktrace.science.log_density import LogDensity
from leaktrace.science.truncated_kde import TruncatedKDE

Floats = NDArray[np.float64]

ESTIMATORS = ("kde", "truncated-kde", "neighbours", "gaussian")

_CHUNK_BYTES = 8 << 20
# A query that repeats a known point would have an infinite density; distances are taken as at least this.
_SMALLEST_DISTANCE = 1e-12


class NeighbourDensity(LogDensity):
    """p(x) = k / (n V_d r_k(x)^d) with r_k the distance to the k-th nearest known point, from every pair.

    With fewer than k known points, all of them count. Source: Loftsgaarden and Quesenberry 1965, equation 1.
    """

    def __init__(self, neighbours: int = 5, *, chunk_bytes: int = _CHUNK_BYTES) -> None:
        self.neighbours = neighbours
        self.chunk_bytes = chunk_bytes

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Keep the points (n, d). Raises ValueError naming what does not fit."""
        if self.neighbours < 1:
            raise ValueError(f"neighbours is {self.neighbours}; at least 1 is needed")
        self.points_ = self._checked(X, reset=True, least=2)
        self.bandwidth_ = 1.0
        self.neighbours_ = min(self.neighbours, len(self.points_))
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log density (m,) in nats of each row of X (m, d)."""
        check_is_fitted(self)
        queries = self._checked(X, reset=False)
        count, dimensions = self.points_.shape
        volume = dimensions / 2 * np.log(np.pi) - gammaln(dimensions / 2 + 1)
        radii = np.maximum(self._radii(queries), _SMALLEST_DISTANCE)
        densities: Floats = np.log(self.neighbours_ / count) - volume - dimensions * np.log(radii)
        return densities

    def _radii(self, queries: Floats) -> Floats:
        """Distance (m,) to the k-th nearest point, a few queries at a time."""
        step = max(1, self.chunk_bytes // (8 * len(self.points_)))
        radii = np.empty(len(queries))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            distances = cdist(queries[rows], self.points_)
            radii[rows] = np.partition(distances, self.neighbours_ - 1, axis=1)[:, self.neighbours_ - 1]
        return radii


class GaussianDensity(LogDensity):
    """One normal distribution with a shrunk covariance: its log density is Mahalanobis' distance but for constants.

    Source of the shrinkage: Ledoit and Wolf 2004.
    """

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Estimate mean (d,) and precision (d, d). Raises ValueError naming what does not fit."""
        points = self._checked(X, reset=True, least=2)
        self.bandwidth_ = 1.0
        shrunk = LedoitWolf().fit(points)
        self.mean_: Floats = shrunk.location_
        self.precision_: Floats = shrunk.precision_
        _, determinant = np.linalg.slogdet(shrunk.covariance_)
        self.normaliser_ = float((determinant + points.shape[1] * np.log(2 * np.pi)) / 2)
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log density (m,) in nats of each row of X (m, d)."""
        check_is_fitted(self)
        centred = self._checked(X, reset=False) - self.mean_
        distances = np.einsum("ij,jk,ik->i", centred, self.precision_, centred)
        densities: Floats = -distances / 2 - self.normaliser_
        return densities


def make_estimator(
    name: str, *, bandwidth: float | None, bandwidths: Sequence[float], folds: int
) -> LogDensity:
    """An unfitted estimator by its name; without a bandwidth, kernels seek one of `bandwidths` by `folds` folds.

    Raises ValueError naming an estimator that does not exist.
    """
    if name == "kde":
        return GaussianKDE(bandwidth or "likelihood", bandwidths=bandwidths, folds=folds)
    if name == "truncated-kde":
        return TruncatedKDE(bandwidth or "likelihood", bandwidths=bandwidths, folds=folds)
    if name == "neighbours":
        return NeighbourDensity()
    if name == "gaussian":
        return GaussianDensity()
    raise ValueError(f"estimator is {name!r}; it must be one of {', '.join(ESTIMATORS)}")
