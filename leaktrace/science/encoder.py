"""Re-noised latents to one embedding: leak encoder per step, feature gate, temporal attention (arXiv 2511.04260).

The three parts are submodules of one module, so the optimiser and the checkpoint hold them all. Pooling over space
comes last and keeps mean and deviation, because a trace is a texture and not an object. Knows nothing of images,
noise or generators.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaktrace.science.distilled import Convolution
from leaktrace.science.renoising import signal_and_noise

EPSILON = 1e-5


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the encoder: latent channels, re-noising steps, widths, embedding size, dropout over steps."""

    channels: int
    steps: tuple[int, ...]
    widths: tuple[int, int, int] = (96, 128, 128)
    embedding_dim: int = 128
    gate_width: int = 64
    step_dropout: float = 0.3
    norm: float = 4.0  # length of every step's feature vector; sets the scale of prototype distances


@dataclass(frozen=True)
class Embedded:
    """What the encoder says of B images: embedding (B, D), gate (B, D) in 0..1, attention over steps (B, T)."""

    embedding: Tensor
    gate: Tensor
    attention: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Embedding, gate and attention, in the order in which `Embedded` takes them."""
        return self.embedding, self.gate, self.attention

    def __getitem__(self, rows: slice | list[int]) -> "Embedded":
        return Embedded(*(part[rows] for part in self.parts))

    @classmethod
    def joined(cls, several: Sequence["Embedded"]) -> "Embedded":
        """The rows of several, one after another."""
        return cls(*(torch.cat(parts) for parts in zip(*(one.parts for one in several), strict=True)))


class LeakEncoder(nn.Module):
    """One step's re-noised latents -> feature vector h_t of fixed length; the same convolutions for every step.

    Each step has its own learned gain and offset a channel. The gain starts at sigma_t, which brings the
    sigma-normalised input back to unit variance.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        _, sigma = signal_and_noise(config.steps)
        first, second, third = config.widths
        self.norm = config.norm
        self.gain = nn.Parameter(sigma[:, None].repeat(1, config.channels))  # (T, C)
        self.offset = nn.Parameter(torch.zeros(len(config.steps), config.channels))
        self.body = nn.Sequential(
            Convolution(config.channels, first),
            Convolution(first, second, stride=2),
            Convolution(second, third),
        )
        self.project = nn.Linear(2 * third, config.embedding_dim)
        self.standardise = nn.LayerNorm(config.embedding_dim, elementwise_affine=False)

    @property
    def precision(self) -> torch.dtype:
        """The convolutions' own precision: bfloat16 once inference has converted them, else float32."""
        precision: torch.dtype = next(self.body.parameters()).dtype
        return precision

    def forward(self, renoised: Tensor) -> Tensor:
        """(B, T, C, h, w) -> (B, T, D)."""
        images, steps = renoised.shape[:2]
        if steps != len(self.gain):
            raise ValueError(f"{steps} steps were given, the encoder has {len(self.gain)}")
        scaled = renoised * self.gain[None, :, :, None, None] + self.offset[None, :, :, None, None]
        scaled = scaled.flatten(0, 1).to(self.precision)  # (B * T, C, h, w)
        maps = self.body(scaled.contiguous(memory_format=torch.channels_last)).float()
        mean = maps.mean(dim=(2, 3))
        # E[x^2] - E[x]^2 is six times as fast as `var` on channels-last maps; ReLU keeps the numbers small.
        variance = (maps.square().mean(dim=(2, 3)) - mean.square()).clamp_min(0)
        pooled = torch.cat([mean, (variance + EPSILON).sqrt()], dim=1)  # (B * T, 2 * width)
        features = self.standardise(self.project(pooled).float())
        scale = self.norm / features.shape[-1] ** 0.5
        return torch.as_tensor(features * scale).view(images, steps, -1)


class FeatureGate(nn.Sequential):
    """w_t = sigmoid(MLP(h_t)): how much each feature counts, (B, T, D) -> (B, T, D) in 0..1."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(
            nn.Linear(config.embedding_dim, config.gate_width),
            nn.ReLU(),
            nn.Linear(config.gate_width, config.embedding_dim),
            nn.Sigmoid(),
        )


class TemporalAttention(nn.Module):
    """Softmax over steps of a linear query of h_t; whole steps are dropped at random while training."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.embedding_dim, 1)
        self.step_dropout = config.step_dropout

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T), each row summing to 1."""
        scores = torch.as_tensor(self.query(features)).squeeze(-1).float()
        if self.training and self.step_dropout > 0:
            dropped = torch.rand_like(scores) < self.step_dropout
            dropped &= ~dropped.all(dim=1, keepdim=True)  # an image keeps all its steps rather than none
            scores = scores.masked_fill(dropped, -torch.inf)
        return scores.softmax(dim=1)


class TemporalEncoder(nn.Module):
    """Leak encoder, gate and attention together: (B, T, C, h, w) -> Embedded."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.leak = LeakEncoder(config)
        self.gate = FeatureGate(config)
        self.attention = TemporalAttention(config)

    def forward(self, renoised: Tensor) -> Embedded:
        """Pool features and gates over steps by the attention."""
        features = self.leak(renoised)  # (B, T, D)
        return self.over_steps(features, self.attention(features))

    def over_steps(self, features: Tensor, attention: Tensor) -> Embedded:
        """Features (B, T, D) and their gates, averaged over steps by `attention` (B, T)."""
        gates = self.gate(features)  # (B, T, D)
        weights = attention[..., None]
        return Embedded((weights * features).sum(1), (weights * gates).sum(1), attention)


def attention_entropy(attention: Tensor) -> Tensor:
    """Mean entropy in nats of attention rows (B, T): log T when all steps count alike, 0 when one decides."""
    return -(attention * attention.clamp_min(1e-9).log()).sum(1).mean()
