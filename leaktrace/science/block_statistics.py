"""What an image's 8 x 8 blocks and its finest steps are like on average.

Decoders and samplers leave more or less energy at each spatial frequency, in each colour, with heavier or lighter
tails, and neighbouring pixels that follow one another more or less closely. Averages over an image say so precisely,
where a network has to find them first. Knows nothing of generators.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaktrace.science.latents import FACTOR

SCALES = 2  # as it is, and halved
_CHANNELS = 3
_LEAST_DEVIATION = 3e-4  # of a coefficient, where white is 1: far below one level of 255
_LEAST_SHAPE = 1e-3
_STEP = 1.5 / 255  # of second differences, where white is 1
_REACH = 2  # second differences have levels from -2 to 2
_LEAST_SHARE = 2e-3


def block_statistics(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, STATISTICS), float32; sides are multiples of 16.

    Of each scale and channel (luma, two of chroma), and once more of blocks that lie half a block off the grid, the 64
    coefficients of the discrete cosine transform of 8 x 8 blocks: the log of their deviation over blocks, and the log
    of their mean size in deviations, which tells heavy tails from light ones. And of luma, the log share of each run
    of three second differences.
    """
    full = levels = _luma_and_chroma(images.float())
    found = [_of_blocks(levels)]
    for _ in range(1, SCALES):
        levels = functional.avg_pool2d(levels, 2)
        found.append(_of_blocks(levels))
    half = FACTOR // 2
    found += [_of_blocks(full[:, :, half:-half, half:-half]), _of_runs(full[:, 0])]
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


def _of_runs(luma: Tensor) -> Tensor:
    """Log shares of runs of three neighbouring second differences in five levels, along rows and columns, (B, 39).

    Source: Fridrich and Kodovsky 2012 (co-occurrences of quantised residuals).
    """
    size, shares = 2 * _REACH + 1, luma.new_zeros(())
    for along in (luma, luma.transpose(1, 2)):
        seconds = (along[:, :, :-2] + along[:, :, 2:]) / 2 - along[:, :, 1:-1]
        steps = (seconds / _STEP).round().clamp(-_REACH, _REACH).add(_REACH).int()
        runs = (steps[:, :, :-2] * size + steps[:, :, 1:-1]) * size + steps[:, :, 2:]
        offsets = size**3 * torch.arange(len(runs), dtype=torch.int32, device=runs.device)
        places = (runs.flatten(1) + offsets[:, None]).flatten()
        counts = torch.bincount(places, minlength=size**3 * len(runs)).view(len(runs), -1)
        shares = shares + counts / (2 * runs[0].numel())
    return (shares @ _ALIKE.to(shares) + _LEAST_SHARE).log()


def _alike() -> Tensor:
    """What averages a run, its reverse and their negatives, which count alike: (125, 39)."""
    levels = range(-_REACH, _REACH + 1)
    runs = list(itertools.product(levels, repeat=3))
    kinds = [
        max(run, run[::-1], tuple(-step for step in run), tuple(-step for step in run[::-1])) for run in runs
    ]
    columns = sorted(set(kinds))
    averages = torch.zeros(len(runs), len(columns))
    for row, kind in enumerate(kinds):
        averages[row, columns.index(kind)] = 1 / kinds.count(kind)
    return averages


def _cosines() -> Tensor:
    """The orthonormal cosine transform as 64 kernels (64, 1, 8, 8)."""
    position = torch.arange(FACTOR, dtype=torch.float64)
    basis = torch.cos((2 * position[None] + 1) * position[:, None] * math.pi / (2 * FACTOR))
    basis *= math.sqrt(2 / FACTOR)
    basis[0] /= math.sqrt(2)
    return torch.einsum("ki,lj->klij", basis, basis).reshape(-1, 1, FACTOR, FACTOR).float()


_COSINES = _cosines()
_ALIKE = _alike()

STATISTICS = (SCALES + 1) * _CHANNELS * FACTOR**2 * 2 + _ALIKE.shape[1]
