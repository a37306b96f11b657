"""Why an image got its answer: which step, which features, which prototype.

A feature's contribution is its share of the margin between the nearest prototype of the runner-up and that of the
winner, d_second - d_first = sum_i w_i ((h_i - q_i)^2 - (h_i - p_i)^2), so the contributions of all features add up
to the margin. Knows nothing of images, densities or verdicts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from leaktrace.science.encoder import Embedded
from leaktrace.science.prototypes import PrototypeHead

FEATURES_SHOWN = 8


@dataclass(frozen=True)
class StepShare:
    """How much one re-noising step counted; the shares add up to 1."""

    timestep: int
    attention: float


@dataclass(frozen=True)
class FeatureShare:
    """One feature's gate (0 to 1) and its part of the margin over the runner-up."""

    index: int
    gate: float
    contribution: float


@dataclass(frozen=True)
class PrototypeDistance:
    """A class's nearest prototype and its feature-weighted squared distance."""

    generator: str
    index: int
    distance: float


@dataclass(frozen=True)
class Explanation:
    """Steps in order, features by size of contribution, prototypes by distance, soft-min distances by class."""

    steps: tuple[StepShare, ...]
    features: tuple[FeatureShare, ...]
    prototypes: tuple[PrototypeDistance, ...]
    distances: dict[str, float]
    margin: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain lists, dictionaries and numbers."""
        return asdict(self)


@torch.inference_mode()
def explain(
    embedded: Embedded, head: PrototypeHead, *, classes: Sequence[str], steps: Sequence[int]
) -> list[Explanation]:
    """One explanation an image from its pooled embedding (B, D), gate (B, D) and attention (B, T)."""
    embedding, gate = embedded.embedding.float(), embedded.gate.float()
    distances = head.distances(embedding, gate)  # (B, K, M)
    scores = head.scores(distances)  # (B, K)
    nearest = distances.min(dim=-1)  # values and indices, (B, K)
    first, second = scores.topk(2, dim=-1).indices.unbind(-1)  # (B,)
    rows = range(len(embedding))
    prototypes = head.prototypes
    winners = prototypes[first, nearest.indices[rows, first]]  # (B, D)
    runners_up = prototypes[second, nearest.indices[rows, second]]
    margins = gate * ((embedding - runners_up).square() - (embedding - winners).square())  # (B, D)
    return [
        Explanation(
            steps=tuple(
                StepShare(step, float(share))
                for step, share in zip(steps, embedded.attention[row], strict=True)
            ),
            features=_features(gate[row], margins[row]),
            prototypes=_prototypes(nearest.values[row], nearest.indices[row], classes=classes),
            distances={name: float(-score) for name, score in zip(classes, scores[row], strict=True)},
            margin=float(margins[row].sum()),
        )
        for row in rows
    ]


def _features(gate: Tensor, margins: Tensor) -> tuple[FeatureShare, ...]:
    order = margins.abs().argsort(descending=True)[:FEATURES_SHOWN].tolist()
    return tuple(FeatureShare(index, float(gate[index]), float(margins[index])) for index in order)


def _prototypes(values: Tensor, indices: Tensor, *, classes: Sequence[str]) -> tuple[PrototypeDistance, ...]:
    found = [
        PrototypeDistance(name, int(index), float(value))
        for name, index, value in zip(classes, indices, values, strict=True)
    ]
    return tuple(sorted(found, key=lambda prototype: prototype.distance))
