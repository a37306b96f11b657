"""Peer: CoDE-style contrastive embedding with global and local crops (arXiv 2407.20337), then nearest neighbours.

Two global views of 128 px and two local ones of 64 px of each image; views of images of one generator attract each
other (supervised contrastive loss, arXiv 2004.11362). The paper trains a vision transformer on millions of images;
this is a small convolutional network on the training split.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.interface import Crops, Scores
from benchmarks.peers.training import Budget, random_windows, small_resnet, tiles, train

GLOBAL_PX, LOCAL_PX = 128, 64
VIEWS = (GLOBAL_PX, GLOBAL_PX, LOCAL_PX, LOCAL_PX)
TEMPERATURE = 0.1
DIMENSIONS = 64
NEIGHBOURS = 10


class Contrastive:
    """See the module."""

    name = "code-style"
    crops = 4

    def __init__(self, budget: Budget) -> None:
        self.plan = budget
        self.budget = f"{budget.epochs} epochs of two 128 px and two 64 px views an image, 0.34 M parameters"

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Train the embedding, then a logistic regression on the training images' embeddings."""
        torch.manual_seed(seed)
        self.net = small_resnet(DIMENSIONS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        targets = torch.as_tensor(labels)

        def loss(batch: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
            crops = [images[i].crops for i in batch]
            views = [random_windows(crops, side=s, grid_px=8, generator=generator) for s in VIEWS]
            with torch.autocast("cpu", torch.bfloat16):
                embedded = torch.cat([self.net(view) for view in views]).float()
            return contrastive_loss(functional.normalize(embedded, dim=1), targets[batch].repeat(len(VIEWS)))

        train([self.net], count=len(images), loss=loss, budget=self.plan, seed=seed)
        self.known = self._embedded(images)
        self.classifier: Any = LogisticRegression(max_iter=1000).fit(self.known, labels)
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Novelty is the mean cosine distance to the nearest training images."""
        embedded = self._embedded(images)
        nearest = np.sort(1 - embedded @ self.known.T, axis=1)[:, :NEIGHBOURS]
        return Scores(self.classifier.predict_proba(embedded), nearest.mean(axis=1))

    @torch.inference_mode()
    def _embedded(self, images: Sequence[Crops]) -> NDArray[np.float64]:
        rows = []
        for image in images:
            with torch.autocast("cpu", torch.bfloat16):
                embedded = self.net(tiles(image.crops, GLOBAL_PX))
            rows.append(functional.normalize(embedded.float().mean(0), dim=0).numpy())
        return np.stack(rows).astype(np.float64)


def contrastive_loss(embedded: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss of unit vectors (B, D) with labels (B,), equation 2 of arXiv 2004.11362."""
    similarity = embedded @ embedded.T / TEMPERATURE
    itself = torch.eye(len(labels), dtype=torch.bool)
    similarity = similarity.masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=1, keepdim=True)
    same = (labels[:, None] == labels[None]) & ~itself
    per_view = log_share.masked_fill(~same, 0).sum(1) / same.sum(1).clamp_min(1)
    return -per_view.mean()
