"""False discovery rates over a batch, by hand and by simulation."""

import numpy as np
import pytest

from leaktrace.science.conformal import p_values
from leaktrace.science.discoveries import adjusted_p_values


def test_discoveries_by_hand() -> None:
    # Sorted 0.01 0.02 0.03 0.04 0.9 against 0.01 0.02 0.03 0.04 0.05: the first four pass at 0.05.
    adjusted = adjusted_p_values([0.9, 0.04, 0.01, 0.03, 0.02])
    assert (adjusted <= 0.05).tolist() == [False, True, True, True, True]


def test_empty_batch_discovers_nothing() -> None:
    assert adjusted_p_values([]).shape == (0,)


def test_rate_is_kept_with_shared_calibration() -> None:
    """Of what is found in batches of 180 known and 20 strange images, at most a tenth is known on average."""
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        calibration = np.sort(draw.normal(size=200))
        novelty = np.concatenate([draw.normal(size=180), draw.normal(4, 1, size=20)])
        found = adjusted_p_values(p_values(novelty[:, None], [calibration])[:, 0]) <= 0.1
        shares.append(found[:180].sum() / max(1, found.sum()))
    assert 0.04 < np.mean(shares) <= 0.1


@pytest.mark.parametrize("wrong", [[[0.1]], [1.2], [-0.1]])
def test_wrong_p_values_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"shape|between 0 and 1"):
        adjusted_p_values(wrong)  # type: ignore[arg-type]
