"""The head with the classes that were enrolled after training: their prototypes, and the evidence of discriminants.

A new class's score is that of its prototypes, plus its slope times the log-odds that linear discriminants give it
against the trained classes, plus its offset. Trained classes score as before. Knows nothing of how the numbers were
fitted.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.discriminants import Discriminants, fit_discriminants
from leaktrace.science.prototypes import Lines, PrototypeHead


class ExtendedHead(PrototypeHead):
    """A head on the CPU whose classes, in the order of names, are the trained ones and those that a density enrolled.

    Raises ValueError when the numbers of prototypes or dimensions differ.
    """

    def __init__(self, head: PrototypeHead, density: OpenSetDensity) -> None:
        nn.Module.__init__(self)
        enrolled = density.head_
        if enrolled is None:
            raise ValueError("a head is extended by enrolled classes; the density has 0")
        trained = head.prototypes.detach().cpu().float()
        if enrolled.prototypes.shape[1:] != trained.shape[1:]:
            raise ValueError(
                f"enrolled prototypes are {enrolled.prototypes.shape[1:]} a class, trained ones "
                f"{tuple(trained.shape[1:])}"
            )
        names = [str(name) for name in density.classes_]
        self.new = torch.tensor([names.index(name) for name in enrolled.names])  # (E,)
        self.trained = torch.tensor([row for row, name in enumerate(names) if name not in enrolled.names])
        prototypes = trained.new_empty((len(names), *trained.shape[1:]))
        prototypes[self.trained], prototypes[self.new] = trained, torch.from_numpy(enrolled.prototypes.copy())
        self.prototypes = nn.Parameter(prototypes, requires_grad=False)
        self.log_temperature = nn.Parameter(head.log_temperature.detach().cpu().float(), requires_grad=False)
        self.offsets = torch.tensor(enrolled.offsets)
        self.slopes = torch.tensor(enrolled.slopes, dtype=torch.float64)
        self.discriminants = discriminants_of(density, enrolled.names)

    def forward(self, embedding: Tensor, gate: Tensor) -> Tensor:
        """(B, D), (B, D) -> (B, K + E)."""
        scores = super().forward(embedding, gate)
        scores[:, self.new] += self.offsets + self._evidence(embedding)
        return scores

    def lines(self, embedding: Tensor, _classes: Tensor) -> Lines:
        """What discriminants add to the scores of classes (B,): a trained class has none."""
        found = self.discriminants
        tilts = torch.zeros(embedding.shape, dtype=torch.float64)
        levels = torch.zeros_like(tilts)
        nearest = found.nearest_trained(embedding.double().numpy())
        for place, (index, slope) in enumerate(zip(self.new.tolist(), self.slopes.tolist(), strict=True)):
            rows = torch.nonzero(_classes == index)[:, 0]
            tilt, middle = found.between(place, nearest[rows.numpy()])
            tilts[rows] = slope * torch.from_numpy(tilt)
            levels[rows] = tilts[rows] * torch.from_numpy(middle)
        return Lines(tilts.float(), levels.float())

    def _evidence(self, embedding: Tensor) -> Tensor:
        return (
            self.slopes * torch.from_numpy(self.discriminants.evidence(embedding.double().numpy()))
        ).float()


def discriminants_of(density: OpenSetDensity, names: Sequence[str]) -> Discriminants:
    """Of the classes `names` that the density enrolled, in that order, against those that it was trained with."""
    classes, labels = list(density.classes_), density.labels_
    centres = [density.embeddings_[labels == classes.index(name)].mean(axis=0) for name in names]
    known = density.trained_
    return fit_discriminants(
        density.embeddings_[known],
        labels[known],
        centres=np.array(centres, dtype=np.float64),
        judged_dim=density.judged_dim or density.embeddings_.shape[1],
    )
