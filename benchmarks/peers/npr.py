"""Peer: NPR (arXiv 2312.10461), what nearest-neighbour down- and upsampling takes away, into a small ResNet.

Trained on random 128 px windows; an image's probabilities are the mean over all its windows.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.interface import Crops, Scores
from benchmarks.peers.training import Budget, random_windows, small_resnet, tiles, train

SIDE_PX = 128


class NPR:
    """See the module; the ResNet is a small one because everything here runs on a CPU."""

    name = "npr"
    crops = 4

    def __init__(self, budget: Budget) -> None:
        self.plan = budget
        self.budget = f"{budget.epochs} epochs of one 128 px window an image, ResNet of 0.33 M parameters"

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Train the network afresh."""
        torch.manual_seed(seed)
        self.net = small_resnet(int(labels.max()) + 1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        targets = torch.as_tensor(labels)

        def loss(batch: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
            crops = [images[i].crops for i in batch]
            windows = random_windows(crops, side=SIDE_PX, grid_px=8, generator=generator)
            with torch.autocast("cpu", torch.bfloat16):
                scores = self.net(neighbour_residual(windows))
            return functional.cross_entropy(scores.float(), targets[batch])

        train([self.net], count=len(images), loss=loss, budget=self.plan, seed=seed)
        return self

    @torch.inference_mode()
    def score(self, images: Sequence[Crops]) -> Scores:
        """Mean log-probabilities over windows; novelty is minus the largest score's logsumexp (energy)."""
        probabilities, novelty = [], []
        for image in images:
            with torch.autocast("cpu", torch.bfloat16):
                scores = self.net(neighbour_residual(tiles(image.crops, SIDE_PX)))
            probabilities.append(scores.float().log_softmax(1).mean(0).softmax(0).numpy())
            novelty.append(-float(scores.float().logsumexp(1).mean()))
        return Scores(np.stack(probabilities).astype(np.float64), np.array(novelty))


def neighbour_residual(images: Tensor) -> Tensor:
    """x minus its nearest-neighbour down- and upsampling by two, times 2/3 as in the paper: (B, 3, h, w)."""
    half = functional.interpolate(images, scale_factor=0.5, mode="nearest")
    return (images - functional.interpolate(half, scale_factor=2.0, mode="nearest")) * (2 / 3) * 4
