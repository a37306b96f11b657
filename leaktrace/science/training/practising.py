"""The last stage of training: to tell known generators from strangers, which stand as one class more for that time.

The class is dropped afterwards, since there is no such generator; what stays is an embedding in which strangers lie
apart. Knows nothing of how strangers are made.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.training.optimise import Report, TrainedNetworks, TrainRecipe, optimise

STRANGER = "~stranger"  # sorts behind every name that a generator can have
PRACTICE_SEED = 5  # added to a training's seed, so that other crops are drawn than while refining
SPREAD = 0.1

Pixels = NDArray[np.uint8]


def practise(
    networks: TrainedNetworks,
    images: Sequence[Pixels],
    labels: Sequence[int],
    *,
    strangers: Sequence[Pixels],
    recipe: TrainRecipe,
    seed: int,
    checkpoint: Path,
    report: Report,
) -> TrainedNetworks:
    """Go on training with `strangers` among the images; the same classes come back."""
    classes = networks.net.config.classes
    torch.manual_seed(seed)
    practised = optimise(
        _with_classes(networks, (*classes, STRANGER)),
        [*images, *strangers],
        labels=[*labels, *[len(classes)] * len(strangers)],
        recipe=recipe,
        seed=seed + PRACTICE_SEED,
        checkpoint=checkpoint,
        report=report,
    )
    return _with_classes(practised, classes)


def _with_classes(networks: TrainedNetworks, classes: tuple[str, ...]) -> TrainedNetworks:
    """The same networks for the first of their classes, or for one class more that starts amid the others."""
    old = networks.net
    net = ProtoLeakNet(replace(old.config, classes=classes))
    state = old.state_dict()
    prototypes = state["head.prototypes"]  # (K, M, D)
    middle = prototypes.mean(dim=(0, 1)) + SPREAD * torch.randn_like(prototypes[:1])
    state["head.prototypes"] = torch.cat([prototypes, middle])[: len(classes)]
    net.load_state_dict(state)
    return TrainedNetworks(networks.latent_encoder, net)
