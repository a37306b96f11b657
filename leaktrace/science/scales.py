"""The units that embeddings are compared in: standardised and, where wanted, whitened within classes.

One bandwidth serves all dimensions of a density, and embeddings vary within a class in a few directions far more than
in the others. Knows nothing of densities or calibration.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf

Floats = NDArray[np.float64]

_SMALLEST_DEVIATION = 1e-6


class EmbeddingScale(BaseEstimator):
    """Standardise each dimension; with `whiten` also decorrelate by the covariance within classes.

    Only the first `judged_dim` dimensions are used, where that is given.

    Attributes
    ----------
    mean_, deviation_ : (D,) of the known embeddings ; varying_ : (D,) which dimensions are used
    whitening_ : (d, d) for the varying ones, or None

    Source of the shrunk covariance: Ledoit and Wolf 2004.
    """

    def __init__(self, *, whiten: bool = True, judged_dim: int | None = None) -> None:
        self.whiten = whiten
        self.judged_dim = judged_dim

    def fit(self, known: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Learn from known embeddings (N, D) and labels (N,). Raises ValueError when no dimension varies."""
        self.mean_: Floats = known.mean(axis=0, dtype=np.float64)
        self.deviation_: Floats = known.std(axis=0, dtype=np.float64)
        # A dimension that never varies says nothing of the known, and would pull every bandwidth towards zero.
        self.varying_: NDArray[np.bool_] = self.deviation_ > _SMALLEST_DEVIATION
        if self.judged_dim is not None:
            self.varying_[self.judged_dim :] = False
        if not self.varying_.any():
            raise ValueError(
                f"none of the {known.shape[1]} dimensions varies over {len(known)} known embeddings"
            )
        self.whitening_: Floats | None = None
        if self.whiten:
            self.whitening_ = _within_class_whitening(self.transform(known), labels)
        return self

    def transform(self, embeddings: NDArray[np.float32]) -> Floats:
        """Embeddings (B, D) in the units of the known ones (B, d)."""
        centred = embeddings[:, self.varying_].astype(np.float64) - self.mean_[self.varying_]
        standardised: Floats = centred / self.deviation_[self.varying_]
        return standardised if self.whitening_ is None else standardised @ self.whitening_


def _within_class_whitening(standardised: Floats, labels: NDArray[np.int64]) -> Floats:
    """W (d, d) such that W' S W = 1 for the shrunk covariance S of what is left when class means are taken off."""
    _, rows = np.unique(labels, return_inverse=True)
    means = np.stack([standardised[rows == row].mean(axis=0) for row in range(rows.max() + 1)])
    covariance = LedoitWolf(assume_centered=True).fit(standardised - means[rows]).covariance_
    variances, directions = np.linalg.eigh(covariance)
    whitening: Floats = directions / np.sqrt(np.maximum(variances, _SMALLEST_DEVIATION**2))
    return whitening
