"""The training loop that the peers with a network share: AdamW, one cosine, random batches, no early stopping.

Knows nothing of what a network reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Loss = Callable[[NDArray[np.int64], np.random.Generator], Tensor]


@dataclass(frozen=True)
class Budget:
    """How long and how fast a network is trained."""

    epochs: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    clip_norm: float = 5.0


def train(networks: Sequence[nn.Module], *, count: int, loss: Loss, budget: Budget, seed: int) -> None:
    """Minimise `loss`, which is given the indices of a batch, over `budget.epochs` passes of `count` images."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=budget.learning_rate, weight_decay=budget.weight_decay)
    steps = budget.epochs * (count // budget.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, budget.learning_rate, total_steps=max(steps, 1))
    generator = np.random.default_rng(seed)
    for network in networks:
        network.train()
    for _ in range(budget.epochs):
        order = generator.permutation(count)
        for start in range(0, count - budget.batch + 1, budget.batch):
            found = loss(order[start : start + budget.batch], generator)
            optimiser.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, budget.clip_norm)
            optimiser.step()
            schedule.step()
    for network in networks:
        network.eval()


def random_windows(
    crops: Sequence[NDArray[np.uint8]], *, side: int, grid_px: int, generator: np.random.Generator
) -> Tensor:
    """One window of each image's crops (N, 3, H, W), on a grid, mirrored at random: (B, 3, side, side) in -1..1."""
    windows = []
    for image in crops:
        crop = image[int(generator.integers(len(image)))]
        top, left = (
            int(generator.integers((length - side) // grid_px + 1)) * grid_px for length in crop.shape[1:]
        )
        window = crop[:, top : top + side, left : left + side]
        windows.append(window[..., ::-1] if generator.random() < 0.5 else window)
    return as_tensor(np.stack(windows))


def tiles(crops: NDArray[np.uint8], side: int) -> Tensor:
    """All whole windows of an image's crops, side by side: (N, 3, H, W) -> (M, 3, side, side) in -1..1."""
    windows = [
        crops[:, :, top : top + side, left : left + side]
        for top in range(0, crops.shape[2] - side + 1, side)
        for left in range(0, crops.shape[3] - side + 1, side)
    ]
    return as_tensor(np.concatenate(windows))


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 in -1..1, channels last."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).contiguous(memory_format=torch.channels_last)
    return images.float().div_(127.5).sub_(1.0)


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(width, width),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        return torch.relu(features + self.body(features))


def small_resnet(outputs: int) -> nn.Sequential:
    """Three stages of 32, 64 and 96 channels, each at half the resolution of the one before, pooled at the end."""
    return nn.Sequential(
        convolution(3, 32, stride=2),
        Residual(32),
        convolution(32, 64, stride=2),
        Residual(64),
        convolution(64, 96, stride=2),
        Residual(96),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, outputs),
    )
