"""A flat map of embeddings for the eye: t-SNE from a PCA start, which keeps neighbours and nothing else.

Distances between far groups on the map mean nothing; figures are always computed in the full space. Knows nothing of
labels.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

Floats = NDArray[np.float64]

PERPLEXITY = 20.0
MOST_POINTS = 1500
FEWEST_POINTS = 8


def flat_map(embeddings: NDArray[np.float32], *, seed: int = 0) -> Floats | None:
    """(N, D) -> (N, 2), scaled to -1..1; NaN rows for images beyond MOST_POINTS drawn at random; None for a few."""
    count = len(embeddings)
    if count < FEWEST_POINTS:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:MOST_POINTS])
    points = np.asarray(embeddings[chosen], dtype=np.float64)
    points -= points.mean(axis=0)
    if np.linalg.matrix_rank(points) < 2:
        return None
    start = PCA(2, random_state=seed).fit_transform(points)
    start = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    tsne = TSNE(2, perplexity=min(PERPLEXITY, (len(points) - 1) / 3), init=start, random_state=seed)
    flat = tsne.fit_transform(points)
    flat = flat - (flat.max(axis=0) + flat.min(axis=0)) / 2
    placed = np.full((count, 2), np.nan)
    placed[chosen] = flat / max(float(np.abs(flat).max()), 1e-12)
    return placed
