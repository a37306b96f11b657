"""What a scorer says of images, beside what is true of them: all that figures are computed from.

The model, the controls and the peers all give `Answers`, so that one code scores them all. Class-conditional p-values
are there when the scorer has them. Knows nothing of how an answer was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.training.dataset import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truths:
    """What is true of N images: their files, generators, tiers and sizes, in one order."""

    files: tuple[str, ...]
    generators: NDArray[np.str_]
    tiers: NDArray[np.str_]
    sides: NDArray[np.int64]  # (N, 2), width and height

    @classmethod
    def of(cls, samples: Sequence[Sample], sizes: Sequence[tuple[int, int]]) -> "Truths":
        """The truths of samples whose (width, height) are `sizes`."""
        return cls(
            files=tuple(sample.file for sample in samples),
            generators=np.array([sample.generator for sample in samples], dtype=np.str_),
            tiers=np.array([sample.tier for sample in samples], dtype=np.str_),
            sides=np.array(sizes, dtype=np.int64).reshape(len(samples), 2),
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: NDArray[np.intp]) -> "Truths":
        chosen = tuple(self.files[row] for row in rows)
        return Truths(chosen, self.generators[rows], self.tiers[rows], self.sides[rows])


@dataclass(frozen=True)
class Calibrated:
    """Conformal p-values (N, K) and the least that each class's calibration allows, (K,)."""

    p_values: Floats
    smallest_p: Floats


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K) in the order of `classes` and novelty (N,): higher means less like any known generator."""

    truths: Truths
    classes: tuple[str, ...]
    probabilities: Floats
    novelty: Floats
    calibrated: Calibrated | None = None

    def __post_init__(self) -> None:
        shape = (len(self.truths), len(self.classes))
        if self.probabilities.shape != shape or self.novelty.shape != shape[:1]:
            raise ValueError(
                f"probabilities have shape {self.probabilities.shape} and novelty {self.novelty.shape}; "
                f"{shape} and {shape[:1]} are needed"
            )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which images (N,) come from a generator that the scorer knows."""
        return np.isin(self.truths.generators, self.classes)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true class's index (N,), -1 where the generator is not known."""
        positions = {name: index for index, name in enumerate(self.classes)}
        return np.array([positions.get(name, -1) for name in self.truths.generators.tolist()], dtype=np.int64)

    def __getitem__(self, rows: NDArray[np.intp]) -> "Answers":
        calibrated = self.calibrated
        if calibrated is not None:
            calibrated = replace(calibrated, p_values=calibrated.p_values[rows])
        return Answers(
            self.truths[rows], self.classes, self.probabilities[rows], self.novelty[rows], calibrated
        )
