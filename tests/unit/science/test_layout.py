"""The layout in the plane: groups stay groups, it repeats, and what cannot be laid out is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness

from leaktrace.science.layout import LayoutRules, _widths, lay_out

QUICK = LayoutRules(epochs=60)


def groups(count: int = 40, *, dimensions: int = 12) -> NDArray[np.float64]:
    """Three groups, far apart."""
    draw = np.random.default_rng(5)
    middles = 12 * np.eye(dimensions)[:3]
    return np.concatenate([middle + draw.normal(size=(count, dimensions)) for middle in middles])


def test_groups_stay_apart() -> None:
    places = lay_out(groups(), rules=QUICK, random=np.random.default_rng(0)).reshape(3, 40, 2)
    middles = places.mean(axis=1)
    spread = np.linalg.norm(places - middles[:, None], axis=2).max()
    between = [np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(between) > 2 * spread


def test_neighbours_stay_neighbours() -> None:
    line = np.linspace(0, 1, 120)
    points = np.stack([np.cos(5 * line), np.sin(5 * line), line, line**2], axis=1)  # a curve in space
    places = lay_out(points, rules=QUICK, random=np.random.default_rng(0))
    assert trustworthiness(points, places, n_neighbors=10) > 0.95


def test_layout_repeats_exactly() -> None:
    first, second = (lay_out(groups(), rules=QUICK, random=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_places_lie_in_unit_square() -> None:
    places = lay_out(groups(), rules=QUICK, random=np.random.default_rng(0))
    assert (places.min() >= 0, places.max() <= 1, np.ptp(places, axis=0).max()) == (
        True,
        True,
        pytest.approx(1),
    )


def test_memberships_sum_to_logarithm() -> None:
    beyond = np.sort(np.random.default_rng(2).random((30, 8)), axis=1)
    sums = np.exp(-beyond / _widths(beyond)[:, None]).sum(axis=1)
    np.testing.assert_allclose(sums, np.log2(8), rtol=1e-6)


@pytest.mark.parametrize("count", [3, 5])
def test_few_points_are_laid_out(count: int) -> None:
    points = np.random.default_rng(1).normal(size=(count, 4))
    assert np.isfinite(lay_out(points, rules=QUICK, random=np.random.default_rng(0))).all()


def test_equal_points_are_laid_out() -> None:
    assert np.isfinite(lay_out(np.ones((20, 4)), rules=QUICK, random=np.random.default_rng(0))).all()


def test_two_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        lay_out(np.ones((2, 4)), rules=QUICK, random=np.random.default_rng(0))
