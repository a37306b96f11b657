"""Each closed-set figure against a plain recomputation, a hand-worked case or scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

from leaktrace.science.training.metrics import (
    FIGURES,
    auroc,
    balanced_accuracy,
    brier,
    calibration_error,
    calibration_error_by_chance,
    class_aucs,
    confusion,
    macro_auc,
    top1,
)


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    logits = random.normal(size=(count, 3)) + np.eye(3)[labels]
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(1, keepdims=True), labels


def ones(labels: np.ndarray) -> np.ndarray:
    return np.ones((1, len(labels)))


def pair_auroc(negatives: list[float], positives: list[float]) -> float:
    scores = np.array([*negatives, *positives], dtype=float)
    positive = np.arange(len(scores)) >= len(negatives)
    return float(auroc(scores, positive, np.ones((1, len(scores))))[0])


def test_auroc_by_hand() -> None:
    # Pairs (negative, positive): 1<2, 1<3, 2=2, 2<3 -> (1 + 1 + 0.5 + 1) / 4.
    assert pair_auroc([1.0, 2.0], [2.0, 3.0]) == pytest.approx(0.875)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20)
)
def test_auroc_counts_pairs(negatives: list[int], positives: list[int]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for n in negatives for p in positives]
    assert pair_auroc(negatives, positives) == pytest.approx(np.mean(pairs))


def test_auroc_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="0 negatives and 1 positives"):
        pair_auroc([], [1.0])


@pytest.mark.parametrize("name", FIGURES)
def test_counts_equal_repeated_images(name: str) -> None:
    probabilities, labels = drawn(40, 5)
    counts = np.random.default_rng(1).integers(1, 4, len(labels))
    repeated = np.repeat(np.arange(len(labels)), counts)
    figure = FIGURES[name]
    expected = figure(probabilities[repeated], labels[repeated], np.ones((1, len(repeated))))[0]
    assert figure(probabilities, labels, counts[None].astype(float))[0] == pytest.approx(expected)


def test_macro_auc_matches_sklearn() -> None:
    probabilities, labels = drawn(90, 0)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert macro_auc(probabilities, labels, ones(labels))[0] == pytest.approx(expected)


def test_absent_class_is_left_out() -> None:
    probabilities, labels = drawn(90, 0)
    few = labels < 2
    assert set(class_aucs(probabilities[few], labels[few], ones(labels[few]))) == {0, 1}


def test_balanced_accuracy_matches_sklearn() -> None:
    probabilities, labels = drawn(100, 1)
    expected = balanced_accuracy_score(labels, probabilities.argmax(1))
    assert balanced_accuracy(probabilities, labels, ones(labels))[0] == pytest.approx(expected)


def test_brier_matches_sklearn() -> None:
    probabilities, labels = drawn(100, 4)
    expected = sum(brier_score_loss(labels == c, probabilities[:, c]) for c in range(3))
    assert brier(probabilities, labels, ones(labels))[0] == pytest.approx(expected)


def test_confusion_matches_sklearn() -> None:
    probabilities, labels = drawn(100, 4)
    assert (confusion(probabilities, labels) == confusion_matrix(labels, probabilities.argmax(1))).all()


def test_top1_by_hand() -> None:
    probabilities, labels = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    assert top1(probabilities, labels, ones(labels))[0] == pytest.approx(2 / 3)


def test_calibration_error_by_hand() -> None:
    # Two images at confidence 0.9, one right (gap 0.4); two at 0.6, both right (gap 0.4).
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    labels = np.array([0, 1, 0, 0])
    assert calibration_error(probabilities, labels, ones(labels))[0] == pytest.approx(0.4)


def test_exact_calibration_has_an_error_by_chance() -> None:
    """Labels are drawn from the probabilities: errors of many images are near 0, of few they are not."""
    sure = np.random.default_rng(1).dirichlet([1, 1, 1], size=20_000)
    many, few = (
        calibration_error_by_chance(sure, draws=20),
        calibration_error_by_chance(sure[:200], draws=200),
    )
    assert many[0] < 0.02 < few[0] < 0.12
    assert few[0] == pytest.approx(few[1:].mean())
    assert calibration_error_by_chance(np.eye(3), draws=5).max() == 0


def test_sure_and_right_is_calibrated() -> None:
    assert calibration_error(np.eye(3), np.arange(3), np.ones((1, 3)))[0] == 0
