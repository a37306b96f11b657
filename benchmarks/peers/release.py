"""Peer: the recipe of Proto-LeakNet's official release, rebuilt from its description on TAESD latents.

Kept as it is: the linear schedule, the small convolutional encoder, a temporal pooling that is drawn at random and
never trained, prototypes with a soft-min, diagonal Mahalanobis class scores, one Gaussian KDE on all closed embeddings.
Not kept: known and unknown images take one path here, because otherwise the label decides the score.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.interface import Crops, Scores
from benchmarks.peers.training import Budget, convolution, train

STEPS = (0, 100, 250, 500, 750)
BETAS = (1e-4, 0.02)
DIMENSIONS, PROTOTYPES = 128, 6
STEP_DROPOUT = 0.3
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
TEMPERATURES = (0.5, 5.0)


class Release:
    """See the module. Source: arXiv 2511.04260."""

    name = "release"
    crops = 1

    def __init__(self, autoencoder: Autoencoder, budget: Budget) -> None:
        self.autoencoder, self.plan = autoencoder, budget
        self.budget = f"{budget.epochs} epochs on TAESD latents of one crop an image, five steps"

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Train encoder, gate and prototypes; then means and variances of the classes, and the density."""
        torch.manual_seed(seed)
        latents = torch.from_numpy(self.autoencoder.passed(images).latents)
        self.net = LeakNet(int(labels.max()) + 1)
        targets = torch.as_tensor(labels)

        def loss(batch: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
            del generator
            return functional.cross_entropy(self.net(latents[batch])[0], targets[batch])

        train([self.net], count=len(images), loss=loss, budget=self.plan, seed=seed)
        known = self._embedded(latents)
        members = [known[labels == c] for c in np.unique(labels)]
        self.means = np.stack([rows.mean(axis=0) for rows in members])
        self.variances = np.stack([rows.var(axis=0) + 1e-4 for rows in members])
        search: Any = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=5)
        self.density: Any = search.fit(known).best_estimator_
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Class scores are minus the diagonal Mahalanobis distances; novelty is minus the log density."""
        embedded = self._embedded(torch.from_numpy(self.autoencoder.passed(images).latents))
        offsets = embedded[:, None] - self.means[None]
        distances = (np.square(offsets) / self.variances[None]).sum(axis=2)
        scores = torch.from_numpy(-distances / np.sqrt(DIMENSIONS))
        return Scores(scores.softmax(1).numpy(), -self.density.score_samples(embedded))

    @torch.inference_mode()
    def _embedded(self, latents: Tensor) -> NDArray[np.float64]:
        torch.manual_seed(0)  # the release draws its noise anew at every call
        return np.asarray(self.net(latents)[1].double().numpy())


class LeakNet(nn.Module):
    """Latents (B, 4, h, w) -> prototype scores (B, K) and embedding (B, D)."""

    signal: Tensor
    sigma: Tensor
    pooling: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        kept = torch.cumprod(1 - torch.linspace(*BETAS, 1000), dim=0)[list(STEPS)]
        self.register_buffer("signal", kept.sqrt())
        self.register_buffer("sigma", (1 - kept).sqrt())
        self.register_buffer("pooling", torch.randn(DIMENSIONS) / DIMENSIONS**0.5)  # never trained
        self.body = nn.Sequential(
            convolution(4, 64),
            convolution(64, 128, stride=2),
            convolution(128, 192, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(192, DIMENSIONS),
        )
        self.gate = nn.Sequential(
            nn.Linear(DIMENSIONS, 64), nn.ReLU(), nn.Linear(64, DIMENSIONS), nn.Sigmoid()
        )
        self.prototypes = nn.Parameter(torch.randn(classes, PROTOTYPES, DIMENSIONS) * 0.1)
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """One pass under fresh noise; steps are dropped at random while training."""
        shape = (1, len(STEPS), 1, 1, 1)
        noise = torch.randn(len(latents), len(STEPS), *latents.shape[1:])
        renoised = latents[:, None] * (self.signal / self.sigma).view(shape) + noise
        features = self.body(renoised.flatten(0, 1)).view(len(latents), len(STEPS), -1)  # (B, T, D)
        weights = features @ self.pooling
        if self.training:
            dropped = torch.rand_like(weights) < STEP_DROPOUT
            weights = weights.masked_fill(dropped & ~dropped.all(1, keepdim=True), -torch.inf)
        share = weights.softmax(1)[..., None]
        embedding, gate = (share * features).sum(1), (share * self.gate(features)).sum(1)
        offsets = embedding[:, None, None] - self.prototypes[None]  # (B, K, M, D)
        distances = (gate[:, None, None] * offsets.square()).sum(3)
        temperature = self.temperature.clamp(*TEMPERATURES)
        return temperature * (-distances / temperature).logsumexp(2), embedding
