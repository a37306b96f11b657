"""What every peer is: something that fits labelled images and scores images, knowing nothing of splits or figures.

A peer sees prepared crops alone, the same pixels that our own model sees under the same protocol. It says what it was
trained with, so that no number stands without its budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Crops:
    """One image as a peer sees it: `crops` (N, 3, side, side) uint8. `key` is equal for equal crops."""

    crops: Pixels
    key: str


@dataclass(frozen=True)
class Scores:
    """Probabilities (N, K) in the order of the peer's classes and novelty (N,): higher means less like any of them."""

    probabilities: Floats
    novelty: Floats


class Peer(Protocol):
    """One method. `crops` is how many it wants of each image, `budget` what its training cost, in words."""

    name: str
    crops: int
    budget: str

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Learn from images and their class indices 0..K-1, afresh."""
        ...

    def score(self, images: Sequence[Crops]) -> Scores:
        """Scores in the same order."""
        ...
