"""The head: K classes with M prototypes each, feature-weighted distances, soft-min over a class's prototypes.

d_km = sum_i w_i (h_i - p_kmi)^2 and score_k = log sum_m exp(-tau d_km) / tau (arXiv 2511.04260), so a class is as
close as its nearest prototypes. Knows nothing of how embedding and gate came about.
"""

import math

import torch
from torch import Tensor, nn

TEMPERATURE_RANGE = (0.5, 5.0)


class PrototypeHead(nn.Module):
    """Scores of K classes for embeddings and gates; the soft-min's temperature is learned within 0.5 to 5."""

    def __init__(self, classes: int, *, prototypes: int, embedding_dim: int, spread: float) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(classes, prototypes, embedding_dim) * spread)
        self.log_temperature = nn.Parameter(torch.zeros(()))

    @property
    def temperature(self) -> Tensor:
        """tau, clamped to the allowed range."""
        low, high = (math.log(bound) for bound in TEMPERATURE_RANGE)
        return self.log_temperature.clamp(low, high).exp()

    def distances(self, embedding: Tensor, gate: Tensor) -> Tensor:
        """Feature-weighted squared distances to every prototype: (B, D), (B, D) -> (B, K, M)."""
        size = self.prototypes.shape[-1]
        if embedding.shape[-1] != size or gate.shape != embedding.shape:
            raise ValueError(
                f"embedding {tuple(embedding.shape)} and gate {tuple(gate.shape)} must both end in {size}"
            )
        difference = embedding[:, None, None] - self.prototypes  # (B, K, M, D)
        return (gate[:, None, None] * difference.square()).sum(-1)

    def scores(self, distances: Tensor) -> Tensor:
        """Soft-min over prototypes: (B, K, M) -> (B, K), higher is closer."""
        temperature = self.temperature
        return torch.logsumexp(-temperature * distances, dim=-1) / temperature

    def forward(self, embedding: Tensor, gate: Tensor) -> Tensor:
        """(B, D), (B, D) -> (B, K)."""
        return self.scores(self.distances(embedding, gate))
