"""One pass through a tiny autoencoder, kept on disk: latents, pooled activations and reconstruction, for four peers.

The weights at hand are TAESD's alone: there is no diffusion U-Net here, so what a peer's paper takes from one is
taken from this encoder instead. Knows nothing of labels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.peers.interface import Crops
from leaktrace.science.inference import choose_precision
from leaktrace.science.latents import load_diffusers_encoder

Floats = NDArray[np.float32]

RECONSTRUCTED_PX = 128
AT_ONCE = 8
SCALES = (1, 2, 4)
RADII = 16


@dataclass(frozen=True)
class Passed:
    """What the autoencoder makes of N centre crops."""

    latents: Floats  # (N, 4, h, w)
    pooled: Floats  # (N, F): mean and deviation of each encoder block's channels
    errors: Floats  # (N, E): reconstruction error by scale and by frequency


class Autoencoder:
    """An AutoencoderTiny in bfloat16 where the processor has it; each image is passed once and kept in `cache`."""

    def __init__(self, folder: str | Path, *, cache: Path) -> None:
        self.precision = choose_precision(torch.device("cpu"))
        self.model: Any = load_diffusers_encoder(str(folder), dtype=self.precision).autoencoder
        self.cache = cache / hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        self.cache.mkdir(parents=True, exist_ok=True)

    def passed(self, images: Sequence[Crops]) -> Passed:
        """Latents, activations and errors of each image's first crop, in order."""
        for start in range(0, len(images), AT_ONCE):
            missing = [image for image in images[start : start + AT_ONCE] if not self._path(image).is_file()]
            if missing:
                self._pass(missing)
        rows = [dict(np.load(self._path(image))) for image in images]
        return Passed(*(np.stack([row[name] for row in rows]) for name in ("latents", "pooled", "errors")))

    def _path(self, image: Crops) -> Path:
        return self.cache / f"{image.key}.npz"

    @torch.inference_mode()
    def _pass(self, images: Sequence[Crops]) -> None:
        pixels = _tensor(np.stack([image.crops[0] for image in images])).to(self.precision)
        latents, pooled = self._encode(pixels)
        margin = (pixels.shape[-1] - RECONSTRUCTED_PX) // 16 * 8
        inner = pixels[..., margin : margin + RECONSTRUCTED_PX, margin : margin + RECONSTRUCTED_PX]
        rebuilt = self.model.decode(self.model.encode(inner).latents).sample
        errors = _errors(inner.float() - rebuilt.float())
        for index, image in enumerate(images):
            np.savez(
                self._path(image),
                latents=latents[index].numpy().astype(np.float16).astype(np.float32),
                pooled=pooled[index].numpy(),
                errors=errors[index].numpy(),
            )

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, and the mean and deviation of every channel after every layer of the encoder."""
        pooled: list[Tensor] = []
        hidden = pixels.add(1).div(2)  # as the encoder itself starts
        layers: nn.Module = self.model.encoder.layers
        for layer in layers.children():
            hidden = layer(hidden)
            pooled += [hidden.float().mean(dim=(2, 3)), hidden.float().std(dim=(2, 3))]
        return hidden.float(), torch.cat(pooled, dim=1)


def _errors(residual: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, E): log mean absolute and squared error by scale, and log power by radius of frequency."""
    found = []
    for scale in SCALES:
        small = nn.functional.avg_pool2d(residual, scale)
        found += [small.abs().mean(dim=(1, 2, 3)), small.square().mean(dim=(1, 2, 3)).sqrt()]
    power = torch.fft.fft2(residual).abs().square().mean(dim=1)  # (B, h, w)
    frequencies = torch.fft.fftfreq(residual.shape[-1])
    radius = (frequencies[:, None].square() + frequencies[None].square()).sqrt() / 0.71
    bins = (radius * RADII).long().clamp(max=RADII - 1)
    found += [power[:, bins == b].mean(dim=1) for b in range(RADII)]
    return torch.stack(found, dim=1).add(1e-6).log()


def _tensor(crops: NDArray[np.uint8]) -> Tensor:
    images = torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)
    return images.float().div_(127.5).sub_(1.0)
