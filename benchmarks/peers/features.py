"""Classifiers and novelty on fixed features, shared by the peers that train no network.

Knows nothing of where features come from.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]

PENALTIES = (0.001, 0.01, 0.1, 1.0)
FOLDS = 5


class LinearHead:
    """Standardise, then logistic regression; novelty is the Mahalanobis distance to the nearest class mean.

    The strength of the penalty is chosen by five folds of the training images.
    """

    def fit(self, features: Floats, labels: NDArray[np.int64]) -> Self:
        """Learn from features (N, F) and class indices."""
        self.scaler: Any = StandardScaler().fit(features)
        scaled = self.scaler.transform(features)
        search: Any = GridSearchCV(LogisticRegression(max_iter=500), {"C": PENALTIES}, cv=FOLDS)
        self.classifier: Any = search.fit(scaled, labels).best_estimator_
        self.nearest = NearestMean().fit(scaled, labels)
        return self

    def score(self, features: Floats) -> tuple[Floats, Floats]:
        """Probabilities (N, K) and novelty (N,)."""
        scaled = self.scaler.transform(features)
        return self.classifier.predict_proba(scaled), self.nearest.novelty(scaled)


class NearestMean:
    """Distance to the nearest class mean under one shrunk covariance within classes (Lee et al. 2018)."""

    def fit(self, features: Floats, labels: NDArray[np.int64]) -> Self:
        """Learn means (K, F) and the precision (F, F)."""
        self.means = np.stack([features[labels == c].mean(axis=0) for c in np.unique(labels)])
        self.precision: Floats = LedoitWolf().fit(features - self.means[labels]).precision_
        return self

    def novelty(self, features: Floats) -> Floats:
        """Squared distance (N,): higher means less like any class."""
        offsets = features[:, None] - self.means[None]  # (N, K, F)
        distances = np.einsum("nkf,fg,nkg->nk", offsets, self.precision, offsets, optimize=True)
        return np.asarray(distances.min(axis=1))
