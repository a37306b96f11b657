"""Which images of a rough group are its own: held to centres worked out by hand, and to a mixture with false alarms."""

import numpy as np
import pytest
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.membership import distances_to_known, own_members
from tests.unit.science.conftest import two_classes

DIMENSIONS = 24


@pytest.fixture(scope="module")
def density() -> OpenSetDensity:
    return two_classes(DIMENSIONS, images=200)


def images(seed: int, *, axis: int, count: int, spread: float = 1.0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    noise = spread * draw.normal(size=(count, DIMENSIONS))
    return (noise + 6 * np.eye(DIMENSIONS)[axis]).astype(np.float32)


def test_distance_is_to_nearest_known_centre(density: OpenSetDensity) -> None:
    scaled = density.scale(images(1, axis=5, count=4))
    known = density.scale(density.embeddings_)
    middles = [known[density.labels_ == index].mean(axis=0) for index in (0, 1)]
    by_hand = [min(((one - middle) ** 2).sum() for middle in middles) for one in scaled]
    assert distances_to_known(scaled, density) == pytest.approx(by_hand)


def test_false_alarms_leave_group(density: OpenSetDensity) -> None:
    """Thirty images of a new generator among forty outlying ones of each known generator."""
    held = np.vstack(
        [
            images(2, axis=5, count=30),
            images(3, axis=0, count=40, spread=1.4),
            images(4, axis=1, count=40, spread=1.4),
        ]
    )
    scaled = density.scale(held)
    kept = own_members(scaled, distances_to_known(scaled, density), np.arange(len(held)), least=15, gap=2.0)
    assert set(range(30)) <= set(kept)
    assert len(kept) <= 32


def test_being_one_of_a_group_is_no_advantage() -> None:
    """From 20 points in 8 dimensions, as far from the known as the median of chi-squared with 8 degrees: about half."""
    draw = np.random.default_rng(6)
    kept = [
        own_members(draw.normal(size=(20, 8)), np.full(20, 7.34), np.arange(20), least=2, gap=0.0)
        for _ in range(200)
    ]
    assert np.mean([len(rows) for rows in kept]) == pytest.approx(10, abs=2)
