"""Images of generators that do not exist: training images whose finest detail was made anew, to practise "unseen" on.

Four kinds: a periodic filter; detail from a network of random weights; half the pixels rebuilt by a random transposed
convolution; a trip through an autoencoder's latents. Every image has its own draw, so there is no one trace to learn.
Knows nothing of networks that are trained.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from leaktrace.science.latents import FACTOR

Pixels = NDArray[np.uint8]
Maker = Callable[[Tensor, torch.Generator], Tensor]

WINDOW_PX = 512
PERIODS = (2, 4, 8)
STRENGTHS = (0.15, 0.8)  # of the change, in units of the detail that was there
LATENT_NOISE = (0.0, 0.15)  # of the latents' deviation


def make_strangers(
    images: Sequence[Pixels], *, number: int, seed: int, autoencoder: Any | None = None
) -> list[Pixels]:
    """`number` strangers from windows of different images, of every kind in turn; (H, W, 3) uint8 of at most 512 px.

    Without a diffusers `autoencoder` the last kind is left out.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    kinds: list[Maker] = [periodic, invented, rebuilt]
    if autoencoder is not None:
        kinds.append(lambda window, generator: through_latents(window, generator, autoencoder=autoencoder))
    strangers = []
    for index in range(number):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        window = _window(images[order[index % len(order)]], generator)
        with torch.autocast("cpu", torch.bfloat16):
            stranger = kinds[index % len(kinds)](window, generator)
        strangers.append(_to_pixels(stranger.float()))
    return strangers


def periodic(window: Tensor, generator: torch.Generator) -> Tensor:
    """Detail (1, 3, H, W) filtered by another random kernel at every position within a period."""
    period = PERIODS[_integer(len(PERIODS), generator)]
    detail = _detail(window)
    channels = 3 * period**2
    kernel = torch.randn((channels, channels, 3, 3), generator=generator)
    changed = functional.pixel_shuffle(
        functional.conv2d(functional.pixel_unshuffle(detail, period), kernel, padding=1), period
    )
    return window + _like(changed, detail, strength=_between(*STRENGTHS, generator))


def invented(window: Tensor, generator: torch.Generator) -> Tensor:
    """Detail replaced by what a network of random weights makes of the picture at a half or a quarter of its size."""
    factor = (2, 4)[_integer(2, generator)]
    small = functional.avg_pool2d(window, factor)
    features = small
    while features.shape[-1] < window.shape[-1]:
        width = 16
        kernel = torch.randn((width, features.shape[1], 3, 3), generator=generator)
        features = functional.relu(functional.conv2d(features, kernel, padding=1))
        features = features / features.std()
        kernel = torch.randn((4 * width, width, 3, 3), generator=generator)
        features = functional.pixel_shuffle(functional.conv2d(features, kernel, padding=1), 2)
    kernel = torch.randn((3, features.shape[1], 3, 3), generator=generator)
    texture = functional.conv2d(functional.relu(features), kernel, padding=1)
    base = functional.interpolate(small, scale_factor=factor, mode="bicubic", align_corners=False)
    lost = window - base
    contrast = functional.avg_pool2d(lost.abs().mean(1, keepdim=True), 9, 1, 4)
    texture = (texture - functional.avg_pool2d(texture, 9, 1, 4)) * contrast
    kept = _between(0.0, 0.7, generator)
    return base + kept * lost + _like(texture, lost, strength=_between(0.3, 1.0, generator))


def rebuilt(window: Tensor, generator: torch.Generator) -> Tensor:
    """Half of each side, brought back by a transposed convolution near the bilinear one."""
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    uneven = 1 + _between(0.05, 0.35, generator) * torch.randn((4, 4), generator=generator)
    kernel = (taps[:, None] * taps * uneven).expand(3, 1, 4, 4).contiguous()
    half = functional.avg_pool2d(window, 2)
    return functional.conv_transpose2d(half, kernel, stride=2, padding=1, groups=3)


@torch.no_grad()
def through_latents(window: Tensor, generator: torch.Generator, *, autoencoder: Any) -> Tensor:
    """Encoded and decoded again, with a little noise on the latents."""
    encoded = autoencoder.encode(window)
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
    noise = torch.randn(latents.shape, generator=generator)
    noisy = latents + noise * latents.std() * _between(*LATENT_NOISE, generator)
    decoded: Tensor = autoencoder.decode(noisy).sample
    return decoded


def _window(pixels: Pixels, generator: torch.Generator) -> Tensor:
    """A random part of at most 512 px a side, on the 8-pixel grid, (1, 3, H, W) in [-1, 1]."""
    sides = [min(WINDOW_PX, length) // FACTOR * FACTOR for length in pixels.shape[:2]]
    top, left = (
        _integer((length - side) // FACTOR + 1, generator) * FACTOR
        for length, side in zip(pixels.shape[:2], sides, strict=True)
    )
    window = np.ascontiguousarray(pixels[top : top + sides[0], left : left + sides[1]])
    return torch.from_numpy(window.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def _to_pixels(image: Tensor) -> Pixels:
    levels = ((image[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())


def _detail(window: Tensor) -> Tensor:
    return window - functional.avg_pool2d(window, 3, 1, 1)


def _like(changed: Tensor, detail: Tensor, *, strength: float) -> Tensor:
    return changed * (strength * detail.std() / changed.std().clamp_min(1e-6))


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _integer(number: int, generator: torch.Generator) -> int:
    return int(torch.randint(number, (), generator=generator))
