"""Resamples keep the size of each stratum, repeat with their seed, and give intervals that behave."""

import numpy as np
import pytest

from leaktrace.science.training.resampling import draw_counts, interval, two_sided_p

NAMES = ["a"] * 5 + ["b"] * 3


def test_first_row_is_the_sample() -> None:
    assert (draw_counts(NAMES)[0] == 1).all()


def test_strata_keep_their_size() -> None:
    counts = draw_counts(NAMES, resamples=50)
    assert (counts[:, :5].sum(1) == 5).all()
    assert (counts[:, 5:].sum(1) == 3).all()


def test_equal_seeds_pair_resamples() -> None:
    assert (draw_counts(NAMES, seed=3) == draw_counts(NAMES, seed=3)).all()
    assert (draw_counts(NAMES, seed=3) != draw_counts(NAMES, seed=4)).any()


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        draw_counts([])


def test_interval_narrows_with_images() -> None:
    widths = []
    for count in (20, 2000):
        values = np.random.default_rng(0).random(count)
        found = interval(draw_counts(["a"] * count) @ values / count)
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[0] > 5 * widths[1]


def test_interval_covers_the_mean() -> None:
    # 95 % intervals of the mean of 50 draws from a uniform: of 200, about 190 hold 0.5.
    random = np.random.default_rng(7)
    found = [
        interval(draw_counts(["a"] * 50, seed=index, resamples=300) @ random.random(50) / 50)
        for index in range(200)
    ]
    assert 180 <= sum(one.low <= 0.5 <= one.high for one in found) <= 199


def test_clear_difference_is_significant() -> None:
    assert two_sided_p(np.full(1001, 0.1)) == pytest.approx(2 / 1001)


def test_no_difference_is_insignificant() -> None:
    assert two_sided_p(np.zeros(1001)) == 1
