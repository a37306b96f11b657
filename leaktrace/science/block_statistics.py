"""What an image's 8 x 8 blocks are like on average: how much each of their frequencies varies, and how it is spread.

Decoders and samplers leave more or less energy at each spatial frequency, in each colour, with heavier or lighter
tails. Averages over an image say so precisely, where a network has to find them first. Knows nothing of generators.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaktrace.science.latents import FACTOR

SCALES = 2  # as it is, and halved
_CHANNELS = 3
_LEAST_DEVIATION = 3e-4  # of a coefficient, where white is 1: far below one level of 255
_LEAST_SHAPE = 1e-3

STATISTICS = SCALES * _CHANNELS * FACTOR**2 * 2


def block_statistics(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, STATISTICS), float32; sides are multiples of 16.

    Of each scale and channel (luma, two of chroma), the 64 coefficients of the discrete cosine transform of 8 x 8
    blocks: the log of their deviation over blocks, and the log of their mean size in deviations, which tells heavy
    tails from light ones.
    """
    levels = _luma_and_chroma(images.float())
    found = [_of_blocks(levels)]
    for _ in range(1, SCALES):
        levels = functional.avg_pool2d(levels, 2)
        found.append(_of_blocks(levels))
    return torch.cat(found, dim=1)


class BlockCoordinates(nn.Module):
    """A few directions of block statistics; linear, so that crops average.

    First those in which known generators differ most, then those in which images do, for generators to come.
    The weights are fitted in closed form and not by an optimiser.
    """

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(STATISTICS), requires_grad=False)
        self.projection = nn.Parameter(torch.zeros(STATISTICS, coordinates), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, coordinates)."""
        return (block_statistics(images) - self.mean) @ self.projection


def _luma_and_chroma(images: Tensor) -> Tensor:
    """RGB in [-1, 1] -> luma and chroma of JPEG (ITU-R BT.601), where white is 1."""
    weights = images.new_tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    # Several times as fast as a 1 x 1 convolution, in either layout.
    return torch.einsum("ij,bjhw->bihw", weights / 2, images)


def _of_blocks(levels: Tensor) -> Tensor:
    """Log deviation and log shape of every coefficient, (B, 2 * 3 * 64)."""
    images = len(levels)
    coefficients = functional.conv2d(levels.flatten(0, 1)[:, None], _COSINES.to(levels), stride=FACTOR)
    coefficients = coefficients.view(images, _CHANNELS * FACTOR**2, -1)
    centred = coefficients - coefficients.mean(dim=2, keepdim=True)
    blocks = centred.shape[2]
    deviation = torch.linalg.vector_norm(centred, dim=2) / math.sqrt(blocks)
    shape = torch.linalg.vector_norm(centred, ord=1, dim=2) / blocks / (deviation + _LEAST_DEVIATION)
    return torch.cat([(deviation + _LEAST_DEVIATION).log(), (shape + _LEAST_SHAPE).log()], dim=1)


def _cosines() -> Tensor:
    """The orthonormal cosine transform as 64 kernels (64, 1, 8, 8)."""
    position = torch.arange(FACTOR, dtype=torch.float64)
    basis = torch.cos((2 * position[None] + 1) * position[:, None] * math.pi / (2 * FACTOR))
    basis *= math.sqrt(2 / FACTOR)
    basis[0] /= math.sqrt(2)
    return torch.einsum("ki,lj->klij", basis, basis).reshape(-1, 1, FACTOR, FACTOR).float()


_COSINES = _cosines()
