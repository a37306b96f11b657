"""Each figure against a plain recomputation, a hand-worked case or scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from leaktrace.science.training.metrics import (
    auroc,
    auroc_with_interval,
    balanced_accuracy,
    calibration_error,
    class_aucs,
    macro_auc,
    top1,
    with_interval,
)


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    logits = random.normal(size=(count, 3)) + np.eye(3)[labels]
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(1, keepdims=True), labels


def test_auroc_by_hand() -> None:
    # Pairs (negative, positive): 1<2, 1<3, 2=2, 2<3 -> (1 + 1 + 0.5 + 1) / 4.
    assert auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(0.875)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20)
)
def test_auroc_counts_pairs(negatives: list[int], positives: list[int]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for n in negatives for p in positives]
    assert auroc(np.array(negatives, float), np.array(positives, float)) == pytest.approx(np.mean(pairs))


def test_auroc_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="0 negatives and 1 positives"):
        auroc(np.array([]), np.array([1.0]))


def test_macro_auc_matches_sklearn() -> None:
    probabilities, labels = drawn(90, 0)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert macro_auc(probabilities, labels) == pytest.approx(expected)


def test_absent_class_is_left_out() -> None:
    probabilities, labels = drawn(90, 0)
    assert set(class_aucs(probabilities[labels < 2], labels[labels < 2])) == {0, 1}


def test_balanced_accuracy_matches_sklearn() -> None:
    probabilities, labels = drawn(100, 1)
    expected = balanced_accuracy_score(labels, probabilities.argmax(1))
    assert balanced_accuracy(probabilities, labels) == pytest.approx(expected)


def test_top1_by_hand() -> None:
    assert top1(np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_calibration_error_by_hand() -> None:
    # Two images at confidence 0.9, one right (gap 0.4); two at 0.6, both right (gap 0.4).
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def test_sure_and_right_is_calibrated() -> None:
    assert calibration_error(np.eye(3), np.arange(3)) == 0


def test_interval_holds_the_value() -> None:
    probabilities, labels = drawn(90, 2)
    interval = with_interval(top1, probabilities, labels)
    assert interval.low <= interval.value <= interval.high
    assert interval.high - interval.low > 0.05


def test_interval_narrows_with_images() -> None:
    few, many = (auroc_with_interval(*np.random.default_rng(3).normal(size=(2, n))) for n in (20, 500))
    assert many.high - many.low < few.high - few.low
