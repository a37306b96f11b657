"""Each open-set figure against scikit-learn, a plain count of pairs, or a hand-worked case."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_curve

from leaktrace.science.training.open_set_metrics import (
    OPEN_FIGURES,
    aupr,
    equal_error_rate,
    fpr_at_tpr,
    oscr,
    rates,
)


def drawn(seed: int, *, rounded: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    unseen = np.arange(80) % 4 == 0
    novelty = random.normal(size=80) + unseen
    return (np.round(novelty, 1) if rounded else novelty), unseen


ONES = np.ones((1, 80))


@pytest.mark.parametrize("rounded", [False, True])
def test_aupr_matches_sklearn(rounded: bool) -> None:
    novelty, unseen = drawn(0, rounded=rounded)
    assert aupr(novelty, unseen, ONES)[0] == pytest.approx(average_precision_score(unseen, novelty))


@pytest.mark.parametrize("rounded", [False, True])
def test_rates_match_sklearn(rounded: bool) -> None:
    novelty, unseen = drawn(1, rounded=rounded)
    false_positive, true_positive = rates(novelty, unseen, ONES)
    expected = roc_curve(unseen, novelty, drop_intermediate=False)
    assert false_positive[0][::-1] == pytest.approx(expected[0])
    assert true_positive[0][::-1] == pytest.approx(expected[1])


def test_fpr_at_tpr_by_hand() -> None:
    # 20 unseen at 1..20: 95 % are found from 2 on; of the known, 1.5 is below that and 2.5 is not.
    novelty = np.array([*range(1, 21), 1.5, 2.5])
    unseen = np.arange(22) < 20
    assert fpr_at_tpr(novelty, unseen, np.ones((1, 22)))[0] == 0.5


def test_equal_error_by_hand() -> None:
    # Known 0 1 2 3, unseen 2.5 4 5 6: from 2.5 on, one of four known is wrong and no unseen is missed; from 3 on, one
    # and one of four.
    novelty, unseen = np.array([0, 1, 2, 3, 2.5, 4, 5, 6]), np.arange(8) >= 4
    assert equal_error_rate(novelty, unseen, np.ones((1, 8)))[0] == 0.25


def test_oscr_counts_pairs() -> None:
    novelty, unseen = drawn(2, rounded=True)
    right = ~unseen & (np.arange(80) % 3 != 0)
    pairs = [
        right[k] * ((novelty[k] < novelty[u]) + 0.5 * (novelty[k] == novelty[u]))
        for k in np.flatnonzero(~unseen)
        for u in np.flatnonzero(unseen)
    ]
    assert oscr(novelty, unseen, ONES, right=right)[0] == pytest.approx(np.mean(pairs))


def test_oscr_is_bounded_by_accuracy() -> None:
    novelty, unseen = np.arange(80.0), np.arange(80) >= 60
    right = np.arange(80) < 30
    assert oscr(novelty, unseen, ONES, right=right)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", OPEN_FIGURES)
def test_counts_equal_repeated_images(name: str) -> None:
    novelty, unseen = drawn(3)
    counts = np.random.default_rng(1).integers(1, 4, 80)
    repeated = np.repeat(np.arange(80), counts)
    figure = OPEN_FIGURES[name]
    expected = figure(novelty[repeated], unseen[repeated], np.ones((1, len(repeated))))[0]
    assert figure(novelty, unseen, counts[None].astype(float))[0] == pytest.approx(expected)
