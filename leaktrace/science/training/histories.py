"""Random histories for training images: one to three post-processing operators, alike for all crops of an image.

Whole images are too large to process at every draw, so each crop gets a window that is just large enough to fill it
afterwards. Levels lie anywhere between the mildest and the strongest of `postprocess`; screenshots and social media
are left out, so that robustness is also measured on what was not practised. Knows nothing of networks.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leaktrace.science.preprocessing import GRID_PX
from leaktrace.science.training.postprocess import ATTACKS, CHAINED

Pixels = NDArray[np.uint8]

LONGEST = 3
# `crop` moves the grid and does nothing else; a window off the grid is the same thing.
MOVING = ("crop", "resize down", "resize up", "rotate")


@dataclass(frozen=True)
class History:
    """Operators in order with their levels; `seed` decides what they draw themselves. An empty one does nothing."""

    steps: tuple[tuple[str, float], ...] = ()
    seed: int = 0

    @property
    def moves_grid(self) -> bool:
        """Whether blocks of 8 pixels no longer lie where the image had them."""
        return any(name in MOVING for name, _ in self.steps)

    @property
    def shrinking(self) -> float:
        """The least side that a window keeps, as a share of its side before."""
        return math.prod(_kept(name, level) for name, level in self.steps)

    def window(self, pixels: Pixels, side_px: int, *, generator: np.random.Generator) -> Pixels:
        """A random part of (H, W, 3) pixels after this history, `side_px` or more on a side where there is room."""
        needed = math.ceil(side_px / self.shrinking) + 2 * GRID_PX
        grid = 1 if self.moves_grid else GRID_PX
        sides = [min(length, needed) for length in pixels.shape[:2]]
        top, left = (
            int(generator.integers(0, (length - side) // grid + 1)) * grid
            for length, side in zip(pixels.shape[:2], sides, strict=True)
        )
        image = Image.fromarray(pixels[top : top + sides[0], left : left + sides[1]])
        drawn = np.random.default_rng(self.seed)
        for name, level in self.steps:
            if name != "crop":
                image = ATTACKS[name].operator(image, level, drawn)
        return np.asarray(image.convert("RGB"))


def draw_history(generator: np.random.Generator) -> History:
    """One to three different operators at random levels."""
    length = int(generator.integers(1, LONGEST, endpoint=True))
    names = [str(name) for name in generator.choice(CHAINED, size=length, replace=False)]
    levels = [float(generator.uniform(min(ATTACKS[n].levels), max(ATTACKS[n].levels))) for n in names]
    return History(tuple(zip(names, levels, strict=True)), int(generator.integers(2**32)))


def _kept(name: str, level: float) -> float:
    if name == "resize down":
        return level
    if name == "rotate":
        angle = math.radians(level)
        return 1 / (math.cos(angle) + math.sin(angle))
    return 1.0
