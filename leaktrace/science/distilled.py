"""The latent encoder that Leaktrace trains itself: a picture stream and a trace stream, at most 6 GFLOP at 256 px.

The picture stream is distilled from an autoencoder's latents; it works on 8 x 8 pixel blocks, which lose nothing. The
trace stream sees only the high-pass residual and keeps full detail for as long as the budget allows; it is trained
together with the leak encoder. Knows nothing of noise, steps or generators.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaktrace.science.latents import FACTOR, check_images, load_diffusers_encoder

RESIDUAL_GAIN = 8.0  # brings the residual of a photograph near unit variance


@dataclass(frozen=True)
class PictureConfig:
    """Widths of the distilled picture stream."""

    channels: int = 4
    width: int = 96
    blocks: int = 4


@dataclass(frozen=True)
class TraceConfig:
    """Widths and residual blocks of the trace stream at 1/2, 1/4 and 1/8 of the image's side."""

    channels: int = 32
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)


class Convolution(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Convolution(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, width, h, w)."""
        return functional.relu(self.second(self.first(features)).add_(features), inplace=True)


class PictureStream(nn.Module):
    """Our approximation of an autoencoder's latents, on blocks of 8 x 8 pixels."""

    factor = FACTOR
    name = "distilled"

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.body = nn.Sequential(
            Convolution(3 * FACTOR**2, config.width),
            *(ResidualBlock(config.width) for _ in range(config.blocks)),
            nn.Conv2d(config.width, config.channels, 3, 1, 1),
        )

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / 8, W / 8)."""
        check_images(images, factor=self.factor)
        latents: Tensor = self.body(functional.pixel_unshuffle(images, FACTOR))
        return latents

    forward = encode


class TraceStream(nn.Module):
    """What the picture's high frequencies tell, as latents of unit variance; trained for traces, not for pictures."""

    factor = FACTOR
    name = "trace"

    def __init__(self, config: TraceConfig) -> None:
        super().__init__()
        self.channels = config.channels
        half, quarter, eighth = config.widths
        halves, quarters, eighths = config.blocks
        self.body = nn.Sequential(
            Convolution(12, half),
            *(ResidualBlock(half) for _ in range(halves)),
            Convolution(half, quarter, stride=2),
            *(ResidualBlock(quarter) for _ in range(quarters)),
            Convolution(quarter, eighth, stride=2),
            *(ResidualBlock(eighth) for _ in range(eighths)),
            nn.Conv2d(eighth, config.channels, 1, bias=False),
            nn.BatchNorm2d(config.channels, affine=False),
        )

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / 8, W / 8)."""
        check_images(images, factor=self.factor)
        latents: Tensor = self.body(functional.pixel_unshuffle(high_pass(images), 2))
        return latents

    forward = encode


def high_pass(images: Tensor) -> Tensor:
    """The residual of the 3 x 3 binomial blur, (B, 3, H, W) -> the same shape: flat areas vanish."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=images.dtype, device=images.device)
    kernel = (taps[:, None] * taps).expand(3, 1, 3, 3)
    blurred = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    return (images - blurred) * RESIDUAL_GAIN


class TwoStreamEncoder(nn.Module):
    """Picture latents and trace latents side by side, (B, picture + trace, H / 8, W / 8).

    `picture` is any LatentEncoder (ours or a diffusers autoencoder), `trace` ours; either may be None, not both.
    """

    factor = FACTOR

    def __init__(self, picture: nn.Module | None, trace: nn.Module | None) -> None:
        super().__init__()
        self.picture, self.trace = picture, trace
        streams: list[Any] = [stream for stream in (picture, trace) if stream is not None]
        if not streams:
            raise ValueError("a latent encoder needs at least one of its 2 streams, and 0 were given")
        self.name = "+".join(stream.name for stream in streams)
        self.channels = sum(stream.channels for stream in streams)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / 8, W / 8), float32."""
        streams = [stream for stream in (self.picture, self.trace) if stream is not None]
        return torch.cat([stream(images).float() for stream in streams], dim=1)

    forward = encode


@dataclass(frozen=True)
class LatentsConfig:
    """Which latents a model reads: ours (`picture`), or a diffusers autoencoder (`source`), and our trace stream."""

    picture: PictureConfig | None = None
    source: str | None = None
    trace: TraceConfig | None = None

    def __post_init__(self) -> None:
        if self.picture is not None and self.source is not None:
            raise ValueError("give either a distilled picture stream or an autoencoder's source, not both")


def build_latent_encoder(config: LatentsConfig) -> TwoStreamEncoder:
    """The encoder of `config` with fresh weights of ours; an autoencoder's own come with it.

    Raises LatentEncoderMissing when the autoencoder is not on this machine.
    """
    picture: nn.Module | None = PictureStream(config.picture) if config.picture else None
    if config.source is not None:
        picture = load_diffusers_encoder(config.source)
    return TwoStreamEncoder(picture, TraceStream(config.trace) if config.trace else None)
