"""Partial forward diffusion: latents to re-noised latents at several steps, sigma-normalised.

z_t / sigma_t with z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps and sigma_t = sqrt(1 - abar_t) (Proto-LeakNet,
arXiv 2511.04260), on Stable Diffusion's `scaled_linear` schedule, number for number the one of diffusers (a test holds
them together; importing diffusers costs a worker seconds). At inference the noise is drawn on the CPU from the image's
content and the model's version, so that the same image has the same answer everywhere. Knows nothing of images or
networks.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TRAINING_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
BANK_RATIO = 4  # blocks in the bank for each one that an image needs


@dataclass(frozen=True)
class Schedule:
    """Which steps an image's latents are re-noised to, and how many draws of noise are averaged at inference."""

    steps: tuple[int, ...] = (0, 20, 60, 150, 300)
    draws: int = 1

    def __post_init__(self) -> None:
        bad = [step for step in self.steps if not 0 <= step < TRAINING_STEPS]
        if bad or not self.steps:
            raise ValueError(f"steps must be in 0..{TRAINING_STEPS - 1} and at least one, not {self.steps}")
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, not {self.draws}")


def cumulative_alphas() -> Tensor:
    """abar_t of Stable Diffusion, (1000,): `scaled_linear` betas, not linear ones."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAINING_STEPS) ** 2
    return torch.cumprod(1 - betas, dim=0)


def signal_and_noise(steps: Sequence[int]) -> tuple[Tensor, Tensor]:
    """sqrt(abar_t) and sigma_t = sqrt(1 - abar_t) at `steps`, each (T,)."""
    alphas = cumulative_alphas()[list(steps)]
    return alphas.sqrt(), (1 - alphas).sqrt()


def renoise(latents: Tensor, noise: Tensor, *, signal: Tensor, sigma: Tensor) -> Tensor:
    """z_t / sigma_t: latents (B, C, h, w), noise (B, T, C, h, w), signal and sigma (T,) -> (B, T, C, h, w)."""
    expected = (latents.shape[0], len(sigma), *latents.shape[1:])
    if tuple(noise.shape) != expected:
        raise ValueError(f"the noise is {tuple(noise.shape)}, the latents and steps need {expected}")
    ratio = (signal / sigma).to(latents).view(1, -1, 1, 1, 1)
    return ratio * latents[:, None] + noise


class NoiseBank:
    """Noise that an image's content and the model's version decide, whatever the batch, the order or the device.

    Drawing normal numbers afresh would cost a fifth of an attribution. So the version seeds a bank of blocks, once,
    on the CPU in float32, and the content's hash picks different blocks of it for every crop, draw and step.
    """

    def __init__(self, version: str, *, shape: tuple[int, int, int], draws_per_image: int) -> None:
        self.draws_per_image = draws_per_image
        generator = torch.Generator().manual_seed(_seed(version, b""))
        self.version = version
        self.blocks = torch.randn((BANK_RATIO * draws_per_image, *shape), generator=generator)

    def draw(self, content_hash: bytes, number: int | None = None) -> Tensor:
        """Standard normal noise for one image, (`number` or draws_per_image, C, h, w)."""
        generator = torch.Generator().manual_seed(_seed(self.version, content_hash))
        chosen = torch.randperm(len(self.blocks), generator=generator)[: number or self.draws_per_image]
        return self.blocks[chosen]


def _seed(version: str, content_hash: bytes) -> int:
    """63 bits of SHA-256 over the model's version and the prepared pixels' hash."""
    digest = hashlib.sha256(version.encode() + b"\0" + content_hash).digest()
    return int.from_bytes(digest[:8], "big") >> 1
