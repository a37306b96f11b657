"""Peer: AEROBLADE-style reconstruction error (arXiv 2401.17879) through the autoencoder at hand.

The paper thresholds one perceptual distance to tell real from generated without training; to name a generator, the
errors by scale and frequency go to a logistic regression. No perceptual network is used: there are no weights for one.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.features import LinearHead
from benchmarks.peers.interface import Crops, Scores


class Aeroblade:
    """See the module."""

    name = "aeroblade-style"
    crops = 1
    budget = "all training images, 128 px of one crop each through TAESD; logistic regression"

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Learn from reconstruction errors; nothing is random."""
        del seed
        self.head = LinearHead().fit(self._errors(images), labels)
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Scores in the same order."""
        return Scores(*self.head.score(self._errors(images)))

    def _errors(self, images: Sequence[Crops]) -> NDArray[np.float64]:
        return self.autoencoder.passed(images).errors.astype(np.float64)
