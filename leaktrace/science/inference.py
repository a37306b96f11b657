"""The two networks made ready for one device: normalisation folded in, precision chosen, one path for every image.

Training's calibration, `evaluate` and the attributor all embed through here, so known and unknown images cannot be
treated differently. On a CPU the networks see one image's crops at a time, which makes an answer independent of its
batch to the last bit. Knows nothing of labels, densities or verdicts.
"""

import copy
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from leaktrace.science.encoder import Embedded
from leaktrace.science.fusion import fuse
from leaktrace.science.latents import FACTOR
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import PreparedImage
from leaktrace.science.renoising import NoiseBank

M = TypeVar("M", bound=nn.Module)

# Images whose crops go through the networks together. A GPU needs several to be busy.
IMAGES_AT_ONCE = {"cpu": 1, "cuda": 16}


def choose_device(device: str) -> torch.device:
    """`auto` is CUDA when there is one, else the CPU; anything else is taken as torch understands it."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def choose_precision(device: torch.device) -> torch.dtype:
    """bfloat16 on processors that compute with it, float32 elsewhere (and on GPUs, where it is fast enough)."""
    native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class InferencePass:
    """Prepared images in, pooled embeddings and calibrated probabilities out; the same answer in any batch."""

    def __init__(
        self, model: Model, *, noise_key: str, device: torch.device, precision: torch.dtype | None = None
    ) -> None:
        self.model, self.device = model, device
        self.precision = precision or choose_precision(device)
        self.latent_encoder = made_ready(model.latent_encoder, device, dtype=self.precision)
        self.net = made_ready(model.net, device, dtype=torch.float32)
        self.net.encoder.leak.body.to(self.precision)
        side = model.preprocessing.crop_px // FACTOR
        schedule = model.schedule
        self.noise = NoiseBank(
            noise_key,
            shape=(model.latent_encoder.channels, side, side),
            draws_per_image=model.preprocessing.most * schedule.draws * len(schedule.steps),
        )

    @torch.inference_mode()
    def embed(self, images: Sequence[PreparedImage]) -> Embedded:
        """Pooled embedding (B, D), gate (B, D) and attention (B, T) on the CPU in float32, in the same order."""
        return self.embed_with_crops(images)[0]

    @torch.inference_mode()
    def embed_with_crops(self, images: Sequence[PreparedImage]) -> tuple[Embedded, list[Embedded]]:
        """The pooled rows as `embed` gives them, and for each image those of the N crops that they are the mean of."""
        at_once = IMAGES_AT_ONCE.get(self.device.type, 1)
        crops: list[Embedded] = []
        for start in range(0, len(images), at_once):
            crops += self._embed(images[start : start + at_once])
        pooled = [self.net.pool(one, crops=len(one.embedding)) for one in crops]
        return _on_cpu(Embedded.joined(pooled)), [_on_cpu(one) for one in crops]

    @torch.inference_mode()
    def probabilities(self, embedded: Embedded) -> Tensor:
        """Calibrated class probabilities (B, K) in float64; one temperature, so the order of classes stays."""
        scores = self._scores(embedded).double() / self.model.temperature
        return scores.softmax(dim=-1)

    def scores(self, embedded: Embedded) -> Tensor:
        """Uncalibrated class scores (B, K), float32."""
        with torch.inference_mode():
            return self._scores(embedded)

    def _scores(self, embedded: Embedded) -> Tensor:
        head = self.net.head
        scores: Tensor = head(embedded.embedding, embedded.gate)
        return scores

    @torch.inference_mode()
    def embed_without_steps(self, image: PreparedImage) -> Embedded:
        """One image's pooled embedding with each step left out in turn: (T, D), (T, D), (T, T)."""
        encoder = self.net.encoder
        pixels = self._pixels([image])
        features = encoder.leak(self.net.renoised(*self._latents_and_noise([image], pixels)))
        coordinates = self.net.coordinates(pixels).repeat_interleave(self.model.schedule.draws, dim=0)
        attention = encoder.attention(features)  # (N, T)
        parts = []
        for step in range(attention.shape[1]):
            left = attention.clone()
            left[:, step] = 0
            left /= left.sum(dim=1, keepdim=True)
            embedded = self.net.beside(encoder.over_steps(features, left), coordinates)
            parts.append(self.net.pool(embedded, crops=len(features)))
        return _on_cpu(Embedded.joined(parts))

    def _embed(self, images: Sequence[PreparedImage]) -> list[Embedded]:
        """Each image's crops, (N, ...)."""
        pixels = self._pixels(images)
        embedded = self.net.embed(*self._latents_and_noise(images, pixels))
        draws = self.model.schedule.draws
        features = self.net.pool(embedded, crops=draws) if draws > 1 else embedded
        of_crops = self.net.beside(features, self.net.coordinates(pixels))
        parts = []
        end = 0
        for image in images:
            start, end = end, end + len(image.crops)
            parts.append(Embedded(*(part.float() for part in of_crops[start:end].parts)))
        return parts

    def _latents_and_noise(self, images: Sequence[PreparedImage], pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B * N * draws, C, h, w) and the noise of every step, (B * N * draws, T, C, h, w)."""
        schedule = self.model.schedule
        latents = self.latent_encoder.encode(pixels.to(self.precision)).float()  # (B * N, C, h, w)
        latents = latents.repeat_interleave(schedule.draws, dim=0)
        rows = schedule.draws * len(schedule.steps)
        noise = torch.cat([self.noise.draw(image.content_hash, rows * len(image.crops)) for image in images])
        noise = noise.to(self.device)
        return latents, noise.view(len(latents), len(schedule.steps), *latents.shape[1:])

    def _pixels(self, images: Sequence[PreparedImage]) -> Tensor:
        """All crops, (B * N, 3, H, W) in [-1, 1] and float32."""
        preprocessing = self.model.preprocessing
        least, most, side = preprocessing.crops, preprocessing.most, preprocessing.crop_px
        for image in images:
            if image.crops.shape[1:] != (3, side, side) or not least <= len(image.crops) <= most:
                raise ValueError(
                    f"an image has crops {image.crops.shape}, the model needs {least} to {most} of {(3, side, side)}"
                )
        crops = torch.from_numpy(np.concatenate([image.crops for image in images])).to(self.device)
        pixels = crops.to(torch.float32).div_(127.5).sub_(1.0)
        return pixels.contiguous(memory_format=torch.channels_last)


def _on_cpu(embedded: Embedded) -> Embedded:
    return Embedded(*(part.cpu() for part in embedded.parts))


def made_ready(module: M, device: torch.device, *, dtype: torch.dtype) -> M:
    """A frozen copy of `module` on `device` in `dtype`, normalisation folded and activations fused where possible."""
    ready = copy.deepcopy(module).eval().requires_grad_(False)
    fuse(ready, device=device)
    ready.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ready
