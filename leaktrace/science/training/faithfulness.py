"""Whether explanations are true: what they name is taken away, and then as much at random.

The score is the margin in calibrated log-odds between the winner and the runner-up. Three things are named by an
explanation: the step with the most attention, the features with the largest contributions, the winner's nearest
prototype. Each is removed, and the change is set against the mean change over removals of the same kind that the
explanation does not name. Knows nothing of labels.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leaktrace.science.encoder import Embedded
from leaktrace.science.explanation import FEATURES_SHOWN, explain
from leaktrace.science.inference import InferencePass
from leaktrace.science.preprocessing import PreparedImage
from leaktrace.science.prototypes import PrototypeHead
from leaktrace.science.training.metrics import Floats
from leaktrace.science.training.resampling import draw_counts, interval

RANDOM_DRAWS = 32


def faithfulness(
    images: Sequence[PreparedImage], inference: InferencePass, *, seed: int = 0
) -> dict[str, Any]:
    """Mean change of the margin by what is named and by what is not, and their difference, paired by image."""
    embedded = inference.embed(images)
    head, temperature = inference.net.head, inference.model.temperature
    pairs = _winners(head, embedded)
    before = _margins(head.distances(embedded.embedding, embedded.gate), head, pairs) / temperature
    removals = {
        "step": (_without_steps(images, embedded, inference, pairs), 1),
        "features": (_without_features(embedded, inference, pairs, seed=seed), FEATURES_SHOWN),
        "prototype": (_without_prototypes(embedded, head, pairs), 1),
    }
    found: dict[str, Any] = {"images": len(images), "margin": float(before.mean())}
    for name, ((named, others), removed) in removals.items():
        changes = [(before[:, None] - after / temperature).abs().mean(1) for after in (named, others)]
        found[name] = {"removed": removed, **_paired(*(change.double().numpy() for change in changes))}
    return found


def _paired(named: Floats, others: Floats) -> dict[str, Any]:
    """Means with intervals over images, and the share of images on which the named removal changes more."""
    counts = draw_counts(np.zeros(len(named), dtype=np.str_))
    weights = counts / counts.sum(axis=1, keepdims=True)
    columns = {"named": named, "random": others, "difference": named - others}
    return {name: asdict(interval(weights @ values)) for name, values in columns.items()} | {
        "named_changes_more": float((named > others).mean())
    }


def _winners(head: PrototypeHead, embedded: Embedded) -> Tensor:
    """The likeliest and the second likeliest class of each image, (B, 2)."""
    scores: Tensor = head(embedded.embedding, embedded.gate)
    return scores.topk(2, dim=1).indices


def _margins(distances: Tensor, head: PrototypeHead, pairs: Tensor) -> Tensor:
    """Winner's score minus runner-up's, (B,), from distances (B, K, M)."""
    first, second = head.scores(distances).gather(1, pairs).unbind(1)
    return first - second


@torch.inference_mode()
def _without_steps(
    images: Sequence[PreparedImage], embedded: Embedded, inference: InferencePass, pairs: Tensor
) -> tuple[Tensor, Tensor]:
    """Margins without the step of most attention (B, 1), and without each of the others (B, T - 1)."""
    head, rows = inference.net.head, []
    for image, pair in zip(images, pairs, strict=True):
        without = inference.embed_without_steps(image)
        distances = head.distances(without.embedding, without.gate)
        rows.append(_margins(distances, head, pair.expand(len(distances), 2)))
    return _split(torch.stack(rows), embedded.attention.argmax(1))


@torch.inference_mode()
def _without_features(
    embedded: Embedded, inference: InferencePass, pairs: Tensor, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Margins without the named features (B, 1), and without as many others at random (B, draws)."""
    model = inference.model
    said = explain(embedded, inference.net.head, classes=model.classes, steps=model.schedule.steps)
    generator = np.random.default_rng(seed)
    size = model.net.config.judged_dim
    sets = []
    for one in said:
        named = [feature.index for feature in one.features]
        others = np.setdiff1d(np.arange(size), named)
        drawn = [generator.choice(others, len(named), replace=False) for _ in range(RANDOM_DRAWS)]
        sets.append(np.stack([named, *drawn]))
    removed = torch.from_numpy(np.stack(sets))  # (B, 1 + draws, features)
    columns = []
    for draw in range(removed.shape[1]):
        gate = embedded.gate.scatter(1, removed[:, draw], 0.0)
        distances = inference.net.head.distances(embedded.embedding, gate)
        columns.append(_margins(distances, inference.net.head, pairs))
    margins = torch.stack(columns, dim=1)
    return margins[:, :1], margins[:, 1:]


@torch.inference_mode()
def _without_prototypes(embedded: Embedded, head: PrototypeHead, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Margins without the winner's nearest prototype (B, 1), and without each of its others (B, M - 1)."""
    distances = head.distances(embedded.embedding, embedded.gate)  # (B, K, M)
    rows = torch.arange(len(distances))
    columns = []
    for prototype in range(distances.shape[2]):
        left = distances.clone()
        left[rows, pairs[:, 0], prototype] = torch.inf
        columns.append(_margins(left, head, pairs))
    nearest = distances[rows, pairs[:, 0]].argmin(1)
    return _split(torch.stack(columns, dim=1), nearest)


def _split(margins: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
    """The named column of (B, N) margins as (B, 1), and the others (B, N - 1)."""
    others = torch.ones_like(margins, dtype=torch.bool).scatter(1, named[:, None], False)
    return margins.gather(1, named[:, None]), margins[others].view(len(margins), -1)
