"""Groups among unseen embeddings: found when they are there, not found when they are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.discovery import DiscoveryRules, discover, reduce_on_known
from tests.unit.science.conftest import two_classes

DIMENSIONS = 32
RULES = DiscoveryRules(resamplings=6)


@pytest.fixture(scope="module")
def density() -> OpenSetDensity:
    return two_classes(DIMENSIONS, images=60)


def blob(seed: int, *, axis: int, count: int) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(count, DIMENSIONS)) + 10 * np.eye(DIMENSIONS)[axis]).astype(np.float32)


def strays(seed: int, *, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(scale=8, size=(count, DIMENSIONS)).astype(np.float32)


def find(points: NDArray[np.float32], density: OpenSetDensity, *, seed: int = 0) -> list[set[int]]:
    groups = discover(points, density, rules=RULES, random=np.random.default_rng(seed))
    return [set(group.members) for group in groups]


def test_one_group_among_strays(density: OpenSetDensity) -> None:
    groups = find(np.vstack([blob(1, axis=5, count=60), strays(2, count=12)]), density)
    assert len(groups) == 1
    assert len(groups[0] & set(range(60))) >= 57
    assert len(groups[0] - set(range(60))) <= 2


def test_two_groups_stay_apart(density: OpenSetDensity) -> None:
    points = np.vstack([blob(1, axis=5, count=50), blob(2, axis=9, count=30), strays(3, count=10)])
    groups = find(points, density)
    assert len(groups) == 2
    assert len(groups[0] - set(range(50))) <= 2
    assert len(groups[1] - set(range(50, 80))) <= 2


def test_strays_are_no_group(density: OpenSetDensity) -> None:
    assert find(strays(4, count=80), density) == []


def outlying(seed: int, *, axis: int, count: int) -> NDArray[np.float32]:
    """What alpha leaves of a known generator: its images that lie farthest from the middle."""
    own = np.random.default_rng(seed).normal(size=(20 * count, DIMENSIONS)) + 6 * np.eye(DIMENSIONS)[axis]
    far = np.argsort(((own - own.mean(axis=0)) ** 2).sum(axis=1))[-count:]
    return own[far].astype(np.float32)


def test_false_alarms_join_no_group(density: OpenSetDensity) -> None:
    stranger = blob(1, axis=5, count=40) * np.float32(0.7)
    points = np.vstack([stranger, outlying(2, axis=0, count=60), outlying(3, axis=1, count=60)])
    assert find(points, density) == [set(range(40))]


def test_false_alarms_alone_are_no_group(density: OpenSetDensity) -> None:
    assert find(np.vstack([outlying(4, axis=0, count=80), outlying(5, axis=1, count=80)]), density) == []


def test_too_few_are_no_group(density: OpenSetDensity) -> None:
    assert find(blob(5, axis=3, count=RULES.min_group - 1), density) == []


def test_nearest_known_is_named(density: OpenSetDensity) -> None:
    points = blob(6, axis=5, count=40) + 4 * np.eye(DIMENSIONS, dtype=np.float32)[1]
    groups = discover(points, density, rules=RULES, random=np.random.default_rng(0))
    assert [group.nearest for group in groups] == ["b"]


def test_most_typical_member_leads(density: OpenSetDensity) -> None:
    points = np.vstack([blob(7, axis=5, count=50), strays(8, count=8)])
    (group,) = discover(points, density, rules=RULES, random=np.random.default_rng(0))
    reduced = reduce_on_known(points, density, rules=RULES)
    own = reduced[list(group.members)]
    sums = np.linalg.norm(own[:, None] - own[None], axis=2).sum(axis=1)
    assert int(np.argmin(sums)) < 5
    assert group.medoids == group.members[: len(group.medoids)]


def test_same_seed_same_groups(density: OpenSetDensity) -> None:
    points = np.vstack([blob(1, axis=5, count=40), strays(2, count=20)])
    assert find(points, density, seed=3) == find(points, density, seed=3)
