"""The head: K classes with M prototypes each, feature-weighted distances, soft-min over a class's prototypes.

d_km = sum_i w_i (h_i - p_kmi)^2 and score_k = log sum_m exp(-tau d_km) / tau (arXiv 2511.04260), so a class is as
close as its nearest prototypes. Knows nothing of how embedding and gate came about.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TEMPERATURE_RANGE = (0.5, 5.0)


@dataclass(frozen=True)
class Lines:
    """Parts of a score that are linear in the embedding: each feature adds tilt * h - level, (B, D) and (B, D)."""

    tilts: Tensor
    levels: Tensor


@dataclass(frozen=True)
class Contest:
    """Two prototypes a row, (B, D) each, and the linear parts by which the winner's class is ahead of the other's."""

    winners: Tensor
    runners_up: Tensor
    ahead: Lines

    def margins(self, embedding: Tensor, gate: Tensor) -> Tensor:
        """By how much each feature puts the winner ahead, (B, D), (B, D) -> (B, D)."""
        nearer = (embedding - self.runners_up).square() - (embedding - self.winners).square()
        return gate * nearer + self.ahead.tilts * embedding - self.ahead.levels

    def __getitem__(self, row: int) -> "Contest":
        ahead = Lines(self.ahead.tilts[row], self.ahead.levels[row])
        return Contest(self.winners[row], self.runners_up[row], ahead)


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

    def lines(self, embedding: Tensor, _classes: Tensor) -> Lines:
        """What is linear in embeddings (B, D) in the scores of classes (B,): nothing, where prototypes are all."""
        nothing = torch.zeros_like(embedding)
        return Lines(nothing, nothing)

    def contest(self, embedding: Tensor, nearest: Tensor, first: Tensor, second: Tensor) -> Contest:
        """Between the classes `first` and `second` (B,), by each class's `nearest` prototype (B, K)."""
        rows = torch.arange(len(embedding))
        ahead, behind = self.lines(embedding, first), self.lines(embedding, second)
        return Contest(
            self.prototypes[first, nearest[rows, first]],
            self.prototypes[second, nearest[rows, second]],
            Lines(ahead.tilts - behind.tilts, ahead.levels - behind.levels),
        )
