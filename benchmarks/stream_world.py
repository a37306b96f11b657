"""The world of the stream simulation: embeddings shaped like the starter model's, and what becomes of them over months.

Known generators have the class means and covariances of the starter's known embeddings; new ones draw their means from
the spread of those means and their covariances from among them. Knows nothing of densities or quarantines.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity

STARTER = Path(__file__).parents[1] / "leaktrace/weights/starter/density.safetensors"
ATTACKER = "attacker"

Embeddings = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Generator:
    """One source of images: a normal distribution of embeddings that may move, and the days that it is there."""

    name: str
    mean: Floats  # (D,)
    root: Floats  # (D, D), R' R is the covariance
    first_day: int = 0
    last_day: int = 10**9
    drift: float = 0.0  # standard deviations a day along its own strongest direction
    drifts_from: int = 10**9

    def draw(self, count: int, random: np.random.Generator, *, day: int = 0) -> Embeddings:
        """Embeddings (count, D) of images of that day."""
        moved = self.drift * max(0, day - self.drifts_from) * self.root[-1]
        noise = random.standard_normal((count, len(self.mean)))
        drawn: Embeddings = (self.mean + moved + noise @ self.root).astype(np.float32)
        return drawn

    def is_there(self, day: int) -> bool:
        """Whether it makes images on that day."""
        return self.first_day <= day < self.last_day


@dataclass(frozen=True)
class World:
    """The known generators, those that appear and disappear, and an attacker's one crafted kind of image."""

    known: list[Generator]
    new: list[Generator]
    attacker: Generator


def make_world(random: np.random.Generator, *, days: int, new: int, separation: float) -> World:
    """`separation` multiplies the distances between class means; 1 is what the starter model has."""
    density = OpenSetDensity.from_bytes(STARTER.read_bytes())
    judged = density.judged(density.embeddings_)
    own = [judged[density.labels_ == label] for label in range(len(density.classes_))]
    means = np.stack([points.mean(axis=0, dtype=np.float64) for points in own])
    middle = means.mean(axis=0)
    spread = separation * (means - middle)
    roots = [root_of(points) for points in own]
    known = [
        Generator(str(name), middle + spread[index], roots[index])
        for index, name in enumerate(density.classes_)
    ]
    drifting = known.index(max(known, key=lambda one: one.name != "real"))
    known[drifting] = _drifting(known[drifting], days=days)
    starts = np.linspace(0.05, 0.65, new) * days
    strangers = [
        Generator(
            f"new-{number + 1}",
            _new_mean(middle, spread, random),
            roots[random.integers(len(roots))],
            first_day=int(starts[number]),
            last_day=int(starts[number] + 0.5 * days),
        )
        for number in range(new)
    ]
    crafted = Generator(
        ATTACKER, _new_mean(middle, spread, random), 0.2 * roots[0], int(0.4 * days), int(0.7 * days)
    )
    return World(known, strangers, crafted)


def root_of(points: Embeddings) -> Floats:
    """R with R' R = the covariance of points (N, D), the strongest direction last."""
    variances, directions = np.linalg.eigh(np.cov(points.astype(np.float64), rowvar=False))
    root: Floats = (directions * np.sqrt(np.maximum(variances, 0))).T
    return root


def _new_mean(middle: Floats, spread: Floats, random: np.random.Generator) -> Floats:
    # A random mixture of the known means' deviations, as long as theirs are on average, has their covariance's shape.
    drawn = random.standard_normal(len(spread)) @ spread
    length = np.linalg.norm(spread, axis=1).mean()
    mean: Floats = middle + drawn * length / np.linalg.norm(drawn)
    return mean


def _drifting(generator: Generator, *, days: int) -> Generator:
    return Generator(
        generator.name, generator.mean, generator.root, drift=2.5 / (0.3 * days), drifts_from=int(0.5 * days)
    )
