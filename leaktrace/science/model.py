"""ProtoLeakNet: re-noised latents to an embedding, a gate and one score per generator.

One path for every image: nothing here can know a label or whether a generator was seen in training. The latent
encoder stays outside, so that any of them can feed it. Knows nothing of files, densities or verdicts.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from leaktrace.science.block_statistics import BlockCoordinates
from leaktrace.science.encoder import Embedded, EncoderConfig, TemporalEncoder
from leaktrace.science.prototypes import PrototypeHead
from leaktrace.science.renoising import renoise, signal_and_noise


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network's shape; part of the card and of the model's version.

    Behind the encoder's features stand `coordinates` of block statistics, which tell the known generators apart, and
    `components` of them, which the head, the density and distances leave out: they are kept for classes to come.
    """

    encoder: EncoderConfig
    classes: tuple[str, ...] = field(default=())
    prototypes: int = 6
    coordinates: int = 0
    components: int = 0

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or list(self.classes) != sorted(set(self.classes)):
            raise ValueError(f"classes must be at least 2 different names in order, not {self.classes}")

    @property
    def embedding_dim(self) -> int:
        """D, the length of an embedding."""
        return self.judged_dim + self.components

    @property
    def judged_dim(self) -> int:
        """How many of the D numbers, the first ones, the head, the density and distances go by."""
        return self.encoder.embedding_dim + self.coordinates


class ProtoLeakNet(nn.Module):
    """Temporal encoder and prototype head, trained and saved together."""

    signal: Tensor
    sigma: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        signal, sigma = signal_and_noise(config.encoder.steps)
        self.register_buffer("signal", signal, persistent=False)
        self.register_buffer("sigma", sigma, persistent=False)
        self.encoder = TemporalEncoder(config.encoder)
        of_blocks = config.coordinates + config.components
        self.blocks = BlockCoordinates(of_blocks) if of_blocks else None
        self.head = PrototypeHead(
            len(config.classes),
            prototypes=config.prototypes,
            embedding_dim=config.embedding_dim,
            spread=config.encoder.norm / config.encoder.embedding_dim**0.5,
        )

    def embed(self, latents: Tensor, noise: Tensor) -> Embedded:
        """latents (B, C, h, w) and noise (B, T, C, h, w) -> Embedded of B crops."""
        embedded: Embedded = self.encoder(self.renoised(latents, noise))
        return embedded

    def renoised(self, latents: Tensor, noise: Tensor) -> Tensor:
        """What the encoder reads: latents (B, C, h, w) at every step, (B, T, C, h, w)."""
        return renoise(latents, noise, signal=self.signal, sigma=self.sigma)

    def coordinates(self, images: Tensor) -> Tensor:
        """Coordinates and components of block statistics, (B, 3, H, W) in [-1, 1] -> (B, both)."""
        if self.blocks is None:
            return images.new_empty((len(images), 0))
        coordinates: Tensor = self.blocks(images)
        return coordinates

    def beside(self, embedded: Embedded, coordinates: Tensor) -> Embedded:
        """The features of crops, and behind them coordinates at gate 1 and components at gate 0 of the same crops."""
        gates = torch.ones_like(coordinates)
        gates[:, self.config.coordinates :] = 0
        return Embedded(
            torch.cat([embedded.embedding.float(), coordinates], dim=1),
            torch.cat([embedded.gate.float(), gates], dim=1),
            embedded.attention,
        )

    def pool(self, embedded: Embedded, *, crops: int) -> Embedded:
        """Average the `crops` consecutive rows of each image: (B * crops, ...) -> (B, ...)."""
        rows = len(embedded.embedding)
        if rows % crops:
            raise ValueError(f"{rows} rows do not divide into images of {crops} crops")
        return Embedded(*(part.float().view(-1, crops, part.shape[-1]).mean(1) for part in embedded.parts))

    def forward(self, latents: Tensor, noise: Tensor) -> tuple[Tensor, Embedded]:
        """Scores (B, K) and the embedding of B single crops."""
        embedded = self.embed(latents, noise)
        with torch.autocast(latents.device.type, enabled=False):
            scores: Tensor = self.head(embedded.embedding.float(), embedded.gate.float())
        return scores, embedded
