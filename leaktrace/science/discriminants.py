"""Linear discriminants between a class that was enrolled and the trained ones, on all that an embedding keeps.

The trained classes say how embeddings vary within a class; a new class adds its centre and nothing else, so that its
discriminant depends on no other new class. Knows nothing of prototypes, offsets or densities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Chosen on training and validation images, three generators at a time left out of the networks (docs/experiments.md).
SHRINKAGE = 0.1
_SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Discriminants:
    """Scores of K trained and E new classes, linear in an embedding: `directions` (D, K + E), `levels` (K + E,).

    The first `trained` columns are the trained classes; `centres` (K + E, D) are those of all.
    """

    directions: Floats
    levels: Floats
    centres: Floats
    trained: int

    def evidence(self, embeddings: Floats) -> Floats:
        """The log-odds (B, E) of each new class against the trained class that comes nearest to it."""
        scores = embeddings @ self.directions + self.levels
        nearest = scores[:, : self.trained].max(axis=1, keepdims=True)
        found: Floats = scores[:, self.trained :] - nearest
        return found

    def nearest_trained(self, embeddings: Floats) -> NDArray[np.intp]:
        """The trained class (B,) that each embedding comes nearest to."""
        scores = embeddings @ self.directions[:, : self.trained] + self.levels[: self.trained]
        nearest: NDArray[np.intp] = scores.argmax(axis=1)
        return nearest

    def between(self, new: int, trained: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Direction (B, D) and middle (B, D) between a new class and trained ones (B,).

        The evidence is the sum over dimensions of direction * (embedding - middle).
        """
        index = self.trained + new
        directions = (self.directions[:, [index]] - self.directions[:, trained]).T
        return directions, (self.centres[index] + self.centres[trained]) / 2


def fit_discriminants(
    known: NDArray[np.float32], labels: NDArray[np.int64], *, centres: Floats, judged_dim: int
) -> Discriminants:
    """From embeddings (N, D) of trained classes `labels` (N,) and the centres (E, D) of new classes.

    The first `judged_dim` numbers are standardised; those behind them share a unit already and keep their proportions.

    Source: Friedman 1989 (regularised discriminant analysis), with one covariance shrunk towards the identity.
    """
    mean = known.mean(axis=0, dtype=np.float64)
    unit = np.ones(len(mean))
    unit[:judged_dim] = np.maximum(known[:, :judged_dim].std(axis=0, dtype=np.float64), _SMALLEST_DEVIATION)
    scaled = (known - mean) / unit
    _, rows = np.unique(labels, return_inverse=True)
    own = np.stack([scaled[rows == row].mean(axis=0) for row in range(rows.max() + 1)])  # (K, D)
    within = scaled - own[rows]
    covariance = (1 - SHRINKAGE) * within.T @ within / len(within) + SHRINKAGE * np.eye(len(mean))
    middles = np.concatenate([own, (centres - mean) / unit])  # (K + E, D)
    directions = np.linalg.solve(covariance, middles.T)  # (D, K + E)
    levels = -0.5 * (middles * directions.T).sum(axis=1)
    directions /= unit[:, None]
    return Discriminants(directions, levels - mean @ directions, mean + unit * middles, len(own))
