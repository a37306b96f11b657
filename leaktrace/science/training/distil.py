"""Stage one of training: teach the picture stream an autoencoder's latents, on crops of the training images.

The teacher's latents of a fixed set of crops are computed once and cached in memory, since the teacher costs more
than all of the student's training. Mirrored crops are separate crops, because latents do not mirror. Knows nothing of
generators: labels are never read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from leaktrace.science.distilled import PictureConfig, PictureStream
from leaktrace.science.latents import LatentEncoder
from leaktrace.science.training.crops import CropPlan, draw_views, to_tensor

Pixels = NDArray[np.uint8]
Report = Callable[[str, float, float], None]  # stage, share done, loss


@dataclass(frozen=True)
class DistilRecipe:
    """How the picture stream is distilled."""

    crops_per_image: int = 4
    side_px: int = 256
    window_px: int = 128
    epochs: int = 24
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    held_out: int = 64


@dataclass(frozen=True)
class Distilled:
    """The trained stream and its relative error, |student - teacher| / |teacher|, on held-out crops."""

    stream: PictureStream
    relative_error: float


def distil(
    teacher: LatentEncoder,
    images: Sequence[Pixels],
    *,
    recipe: DistilRecipe,
    config: PictureConfig,
    seed: int,
    report: Report,
) -> Distilled:
    """Train a PictureStream on crops of `images`; the last `held_out` crops only measure the error."""
    torch.manual_seed(seed)
    crops = _draw(images, recipe, seed=seed)
    targets = _teach(teacher, crops, report=report)
    student = PictureStream(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = len(crops) - recipe.held_out
    _fit(student, crops[:training], targets=targets[:training], recipe=recipe, seed=seed, report=report)
    error = relative_error(student, crops[training:], targets=targets[training:])
    return Distilled(student.eval(), error)


@torch.no_grad()
def relative_error(student: PictureStream, crops: Pixels, *, targets: Tensor) -> float:
    """The norm of the difference over the norm of the teacher's latents, over all crops (N, 3, H, W)."""
    student.eval()
    latents = torch.cat([student(to_tensor(crops[i : i + 8])) for i in range(0, len(crops), 8)])
    return float((latents - targets.float()).norm() / targets.float().norm())


def _draw(images: Sequence[Pixels], recipe: DistilRecipe, *, seed: int) -> Pixels:
    generator = np.random.default_rng(seed)
    plan = CropPlan(side_px=recipe.side_px)
    order = np.concatenate([generator.permutation(len(images)) for _ in range(recipe.crops_per_image)])
    crops = np.concatenate([draw_views(images[i], plan, generator=generator) for i in order])
    return crops.transpose(0, 3, 1, 2)


@torch.no_grad()
def _teach(teacher: LatentEncoder, crops: Pixels, *, report: Report) -> Tensor:
    targets = []
    for start in range(0, len(crops), 16):
        with torch.autocast("cpu", torch.bfloat16):
            targets.append(teacher.encode(to_tensor(crops[start : start + 16])).half())
        report("teacher's latents", start / len(crops), 0.0)
    return torch.cat(targets)


def _fit(
    student: PictureStream,
    crops: Pixels,
    *,
    targets: Tensor,
    recipe: DistilRecipe,
    seed: int,
    report: Report,
) -> None:
    generator = np.random.default_rng(seed + 1)
    optimiser = torch.optim.AdamW(
        student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = len(crops) // recipe.batch
    total = steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=total + 1, pct_start=0.1
    )
    student.train()
    for epoch in range(recipe.epochs):
        order = generator.permutation(len(crops))
        for step in range(steps):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            windows, wanted = _window(crops[chosen], targets[chosen], recipe=recipe, generator=generator)
            with torch.autocast("cpu", torch.bfloat16):
                latents = student(windows)
            loss = functional.mse_loss(latents.float(), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        report("distilling", (epoch + 1) / recipe.epochs, loss.item())


def _window(
    crops: Pixels, targets: Tensor, *, recipe: DistilRecipe, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The same random part of each crop and of its latents, away from the crop's border where there is room."""
    cells = recipe.window_px // 8
    free = recipe.side_px // 8 - cells
    top, left = (int(generator.integers(0, free + 1)) for _ in range(2))
    window = crops[:, :, 8 * top : 8 * (top + cells), 8 * left : 8 * (left + cells)]
    return to_tensor(window), targets[:, :, top : top + cells, left : left + cells].float()
