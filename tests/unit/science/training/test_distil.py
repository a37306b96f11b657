"""Distilling brings the picture stream nearer to its teacher, from pictures alone."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leaktrace.science.distilled import PictureConfig, PictureStream
from leaktrace.science.training.distil import DistilRecipe, distil, relative_error

RECIPE = DistilRecipe(
    crops_per_image=4, side_px=64, window_px=32, epochs=60, batch=8, learning_rate=1e-2, held_out=8
)


class MeanTeacher:
    """Latents that are easy to name: the mean of each colour over 8 x 8 pixels, and their sum."""

    name, channels, factor = "mean", 4, 8

    def encode(self, images: Tensor) -> Tensor:
        means = functional.avg_pool2d(images.float(), 8)
        return torch.cat([means, means.sum(1, keepdim=True)], dim=1)


def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    return [block.repeat(8, axis=0).repeat(8, axis=1) for block in blocks]


def test_student_learns_its_teacher() -> None:
    config = PictureConfig(channels=4, width=16, blocks=0)
    result = distil(MeanTeacher(), pictures(), recipe=RECIPE, config=config, seed=0, report=lambda *_: None)
    assert result.relative_error < 0.4


def test_relative_error_by_hand() -> None:
    student = PictureStream(PictureConfig(channels=4, width=8, blocks=0)).eval()
    crops = np.zeros((2, 3, 16, 16), np.uint8)
    with torch.no_grad():
        latents = student(torch.full((2, 3, 16, 16), -1.0))
    assert relative_error(student, crops, targets=latents) < 1e-6
    assert abs(relative_error(student, crops, targets=latents * 2) - 0.5) < 1e-6
