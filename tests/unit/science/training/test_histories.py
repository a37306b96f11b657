"""Training histories are repeatable, alike for all windows of an image, and leave room for a whole crop."""

import numpy as np
import pytest

from leaktrace.science.training.histories import History, draw_history
from leaktrace.science.training.postprocess import ATTACKS, CHAINED


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)


def test_empty_history_changes_nothing(picture: np.ndarray) -> None:
    window = History().window(picture, 128, generator=np.random.default_rng(3))
    corners = [(top, left) for top in range(0, 557, 8) for left in range(0, 757, 8)]
    assert any(np.array_equal(window, picture[t : t + 144, w : w + 144]) for t, w in corners)


def test_strongest_history_fills_a_crop(picture: np.ndarray) -> None:
    history = History((("resize down", 0.5), ("rotate", 15.0), ("blur", 2.0)), seed=1)
    window = history.window(picture, 128, generator=np.random.default_rng(0))
    assert min(window.shape[:2]) >= 128


def test_windows_share_what_is_drawn(picture: np.ndarray) -> None:
    """An operator that goes either way goes the same way for every window of an image."""
    grey = np.full_like(picture, 100)
    for seed in range(8):
        history = History((("brightness", 0.5),), seed=seed)
        means = {
            history.window(grey, 64, generator=np.random.default_rng(place)).mean() for place in range(4)
        }
        assert len(means) == 1


def test_drawn_histories_stay_within_bounds() -> None:
    for seed in range(50):
        history = draw_history(np.random.default_rng(seed))
        assert 1 <= len(history.steps) <= 3
        for name, level in history.steps:
            assert name in CHAINED
            assert min(ATTACKS[name].levels) <= level <= max(ATTACKS[name].levels)


def test_moved_grid_is_told() -> None:
    assert History((("jpeg", 80.0), ("crop", 0.9))).moves_grid
    assert not History((("jpeg", 80.0), ("blur", 1.0))).moves_grid
