"""Peers: FRIDA-style kNN and small MLP on pooled activations (arXiv 2510.27602).

The paper pools a diffusion U-Net's activations. No such weights are at hand, so TAESD's encoder stands in for it:
mean and deviation of each channel after each of its layers.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.interface import Crops, Scores

COMPONENTS = 64
NEIGHBOURS = 15
HIDDEN = 128


class _Frida:
    crops = 1

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder

    def _pooled(self, images: Sequence[Crops]) -> NDArray[np.float64]:
        return self.autoencoder.passed(images).pooled.astype(np.float64)

    def _whitened(self, images: Sequence[Crops], *, seed: int) -> NDArray[np.float64]:
        self.whiten: Any = make_pipeline(StandardScaler(), PCA(COMPONENTS, whiten=True, random_state=seed))
        return np.asarray(self.whiten.fit_transform(self._pooled(images)))


class FridaNeighbours(_Frida):
    """k nearest neighbours; novelty is the distance to the k-th."""

    name = "frida-style-knn"
    budget = "all training images, one crop each through TAESD's encoder; 15 neighbours"

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Keep the training images' features."""
        self.neighbours: Any = KNeighborsClassifier(NEIGHBOURS, weights="distance")
        self.neighbours.fit(self._whitened(images, seed=seed), labels)
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Scores in the same order."""
        features = self.whiten.transform(self._pooled(images))
        distances, _ = self.neighbours.kneighbors(features)
        return Scores(self.neighbours.predict_proba(features), distances[:, -1])


class FridaPerceptron(_Frida):
    """A small MLP; novelty is one minus the largest probability."""

    name = "frida-style-mlp"
    budget = (
        "all training images, one crop each through TAESD's encoder; MLP of 128, early stopping on a tenth"
    )

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Train the MLP."""
        self.perceptron: Any = MLPClassifier(
            (HIDDEN,), alpha=1.0, max_iter=300, early_stopping=True, n_iter_no_change=20, random_state=seed
        )
        self.perceptron.fit(self._whitened(images, seed=seed), labels)
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Scores in the same order."""
        probabilities = self.perceptron.predict_proba(self.whiten.transform(self._pooled(images)))
        return Scores(probabilities, 1 - probabilities.max(axis=1))
