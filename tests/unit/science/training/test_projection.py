"""The map keeps neighbours, repeats itself and says when there is nothing to draw."""

import numpy as np

from leaktrace.science.training.projection import flat_map


def test_clusters_stay_apart() -> None:
    random = np.random.default_rng(0)
    points = np.repeat(np.eye(3, 16) * 30, 25, axis=0) + random.normal(size=(75, 16))
    flat = flat_map(points.astype(np.float32))
    assert flat is not None
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2) + np.eye(75) * 9
    assert (distances.argmin(axis=1) // 25 == np.arange(75) // 25).all()
    assert np.abs(flat).max() <= 1


def test_few_points_have_no_map() -> None:
    assert flat_map(np.zeros((5, 4), dtype=np.float32)) is None


def test_equal_points_have_no_map() -> None:
    assert flat_map(np.ones((20, 4), dtype=np.float32)) is None
