"""Peer: LATTE-style latent trajectory (arXiv 2507.03054), latents at five timesteps attended by visual tokens.

Tokens of the re-noised latents at every step and tokens of the latent itself pass a small transformer. The paper
denoises with a diffusion U-Net and reads CLIP tokens; neither has weights here, so the trajectory is the forward one
and the visual tokens come from a convolution on TAESD's latents.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.interface import Crops, Scores
from benchmarks.peers.training import Budget, train
from leaktrace.science.renoising import signal_and_noise

STEPS = (50, 150, 300, 500, 700)
WIDTH = 96
PATCH = 8


class Latte:
    """See the module."""

    name = "latte-style"
    crops = 1

    def __init__(self, autoencoder: Autoencoder, budget: Budget) -> None:
        self.autoencoder, self.plan = autoencoder, budget
        self.budget = (
            f"{budget.epochs} epochs on TAESD latents of one crop an image, transformer of two layers"
        )

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Train the transformer afresh."""
        torch.manual_seed(seed)
        latents = torch.from_numpy(self.autoencoder.passed(images).latents)
        self.net = Trajectory(int(labels.max()) + 1)
        targets = torch.as_tensor(labels)

        def loss(batch: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
            chosen = latents[batch]
            if generator.random() < 0.5:
                chosen = chosen.flip(-1)
            return functional.cross_entropy(self.net(chosen), targets[batch], label_smoothing=0.05)

        train([self.net], count=len(images), loss=loss, budget=self.plan, seed=seed)
        return self

    @torch.inference_mode()
    def score(self, images: Sequence[Crops]) -> Scores:
        """Novelty is the energy, minus the logsumexp of the scores."""
        latents = torch.from_numpy(self.autoencoder.passed(images).latents)
        torch.manual_seed(0)
        scores = torch.stack([self.net(latents) for _ in range(4)]).mean(0)
        return Scores(scores.softmax(1).double().numpy(), -scores.logsumexp(1).double().numpy())


class Trajectory(nn.Module):
    """Latents (B, 4, h, w) -> scores (B, K)."""

    signal: Tensor
    sigma: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        signal, sigma = signal_and_noise(STEPS)
        self.register_buffer("signal", signal)
        self.register_buffer("sigma", sigma)
        self.patches = nn.Conv2d(4, WIDTH, PATCH, stride=PATCH)
        self.visual = nn.Conv2d(4, WIDTH, PATCH, stride=PATCH)
        self.places = nn.Parameter(torch.zeros(1 + len(STEPS), WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.score = nn.Linear(WIDTH, classes)

    def forward(self, latents: Tensor) -> Tensor:
        """One pass under fresh noise."""
        noise = torch.randn(len(latents), len(STEPS), *latents.shape[1:])
        shape = (1, len(STEPS), 1, 1, 1)
        renoised = self.signal.view(shape) * latents[:, None] + self.sigma.view(shape) * noise
        steps = self.patches(renoised.flatten(0, 1)).flatten(2).transpose(1, 2)  # (B * T, P, W)
        steps = steps.view(len(latents), len(STEPS), -1, WIDTH) + self.places[1:, None]
        visual = self.visual(latents).flatten(2).transpose(1, 2) + self.places[0]  # (B, P, W)
        tokens = self.body(torch.cat([steps.flatten(1, 2), visual], dim=1))
        return torch.as_tensor(self.score(tokens.mean(1)))
