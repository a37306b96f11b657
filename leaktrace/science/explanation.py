"""Why an image got its answer: which step, which features, which prototype, which part of the picture.

A feature's contribution is its share of the margin between the nearest prototype of the runner-up and that of the
winner, d_second - d_first = sum_i w_i ((h_i - q_i)^2 - (h_i - p_i)^2), so the contributions of all features add up
to the margin. A class that was enrolled later has a part that is linear in h beside it, which is shared out in the
same way. A crop's margin is the same sum over the crop's own h and w, before crops are averaged. Knows nothing of
images, densities or verdicts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from leaktrace.science.encoder import Embedded
from leaktrace.science.preprocessing import Box
from leaktrace.science.prototypes import Contest, PrototypeHead

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
class CropMargin:
    """How far one crop alone is nearer to the winner's prototype than to the runner-up's; below 0, the reverse."""

    left: int
    top: int
    width: int
    height: int
    margin: float


@dataclass(frozen=True)
class Crops:
    """What the encoder says of the crops of B images, N rows for an image of N crops, and where each crop lies."""

    embedded: Sequence[Embedded]
    boxes: Sequence[tuple[Box, ...]]


@dataclass(frozen=True)
class Explanation:
    """Steps in order, features by size of contribution, prototypes by distance, soft-min distances by class.

    `crops` is empty where only the pooled embedding was at hand.
    """

    steps: tuple[StepShare, ...]
    features: tuple[FeatureShare, ...]
    prototypes: tuple[PrototypeDistance, ...]
    distances: dict[str, float]
    margin: float
    crops: tuple[CropMargin, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain lists, dictionaries and numbers."""
        return asdict(self)


@torch.inference_mode()
def explain(
    embedded: Embedded,
    head: PrototypeHead,
    *,
    classes: Sequence[str],
    steps: Sequence[int],
    crops: Crops | None = None,
) -> list[Explanation]:
    """One explanation an image from its pooled embedding (B, D), gate (B, D) and attention (B, T).

    Raises ValueError when `crops` are those of another number of images.
    """
    embedding, gate = embedded.embedding.float(), embedded.gate.float()
    distances = head.distances(embedding, gate)  # (B, K, M)
    scores = head(embedding, gate)  # (B, K)
    nearest = distances.min(dim=-1)  # values and indices, (B, K)
    first, second = scores.topk(2, dim=-1).indices.unbind(-1)  # (B,)
    contest = head.contest(embedding, nearest.indices, first, second)
    margins = contest.margins(embedding, gate)  # (B, D)
    parts = _crop_margins(crops, contest) if crops else [()] * len(embedding)
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
            crops=parts[row],
        )
        for row in range(len(embedding))
    ]


def _crop_margins(crops: Crops, contest: Contest) -> list[tuple[CropMargin, ...]]:
    """Margins of every crop in the same contest as its image's."""
    images = len(contest.winners)
    if len(crops.embedded) != images:
        raise ValueError(f"the crops of {len(crops.embedded)} images were given for {images} images")
    found = []
    for row, (embedded, boxes) in enumerate(zip(crops.embedded, crops.boxes, strict=True)):
        own = contest[row].margins(embedded.embedding.float(), embedded.gate.float())  # (N, D)
        margins = own.sum(-1).tolist()  # (N,)
        found.append(
            tuple(CropMargin(**vars(box), margin=margin) for box, margin in zip(boxes, margins, strict=True))
        )
    return found


def _features(gate: Tensor, margins: Tensor) -> tuple[FeatureShare, ...]:
    order = margins.abs().argsort(descending=True)[:FEATURES_SHOWN].tolist()
    return tuple(FeatureShare(index, float(gate[index]), float(margins[index])) for index in order)


def _prototypes(values: Tensor, indices: Tensor, *, classes: Sequence[str]) -> tuple[PrototypeDistance, ...]:
    found = [
        PrototypeDistance(name, int(index), float(value))
        for name, index, value in zip(classes, indices, values, strict=True)
    ]
    return tuple(sorted(found, key=lambda prototype: prototype.distance))
