"""The contract of every density estimator here: scikit-learn's, with log densities in nats as scores.

A higher score means more like the known points. Knows nothing of how a density is made.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import validation

Floats = NDArray[np.float64]


class LogDensity(DensityMixin, BaseEstimator):
    """What estimators share: checked input, and the total log density as score.

    Attributes
    ----------
    bandwidth_ : float ; 1.0 where an estimator has no bandwidth
    """

    bandwidth_: float

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from points (n, d). Raises ValueError naming what does not fit."""
        raise NotImplementedError

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log density (m,) in nats of each row of X (m, d)."""
        raise NotImplementedError

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """Total log density of X, the quantity that a bandwidth search maximises."""
        return float(self.score_samples(X).sum())

    def _checked(self, X: ArrayLike, *, reset: bool, least: int = 1) -> Floats:
        """X as float64 (rows, d) with at least `least` rows; `reset` remembers d, otherwise it must agree."""
        # Not every version of scikit-learn's type stubs has it.
        checked: Floats = validation.validate_data(  # type: ignore[attr-defined, unused-ignore]
            self, X, dtype=np.float64, reset=reset, ensure_min_samples=least
        )
        return checked
