"""Conformal p-values keep their promise, ties and order are right, and what does not fit is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.kde import GaussianKDE
from tests.densities import CENTRES, DIMENSIONS, drawn, fitted


def test_false_alarms_stay_at_alpha() -> None:
    # 400 calibration sets of 39 images and one new image each: P(p <= alpha) is exactly 0.05 for continuous scores.
    alpha, calibration, rounds = 0.05, 39, 400
    known, labels = drawn(60, 1)
    density = fitted(60, calibration, seed=1)
    alarms = 0
    for seed in range(rounds):
        fresh, _ = drawn(calibration + 1, 100 + seed, names=("beta-2",))
        density.fit(
            known, labels,
            calibration_embeddings=np.concatenate([fresh[1:], *other_calibration(seed)]),
            calibration_labels=["beta-2"] * calibration + ["alpha-1", "real"],
        )  # fmt: skip
        alarms += density.p_values(fresh[:1])[0, 1] <= alpha
    standard_error = (alpha * (1 - alpha) / rounds) ** 0.5
    assert abs(alarms / rounds - alpha) <= 3 * standard_error


def other_calibration(seed: int) -> list[np.ndarray]:
    return [drawn(1, 10_000 + seed, names=(name,))[0] for name in ("alpha-1", "real")]


def test_p_values_by_hand() -> None:
    density = fitted()
    scores = density.calibration_scores_[0]
    queries = drawn(5, 9)[0]
    novelty = density.novelty(queries)[:, 0]
    by_hand = [(1 + sum(score >= one for score in scores)) / (len(scores) + 1) for one in novelty]
    assert np.allclose(density.p_values(queries)[:, 0], by_hand, rtol=0, atol=1e-15)


@pytest.mark.parametrize("whiten", [False, True])
def test_novelty_is_minus_log_density(whiten: bool) -> None:
    density, (known, labels) = fitted(whiten=whiten), drawn(40, 0)
    scaled = (known.astype(float) - known.mean(axis=0, dtype=float)) / known.std(axis=0, dtype=float)
    if whiten:
        within = np.concatenate(
            [scaled[labels == name] - scaled[labels == name].mean(axis=0) for name in CENTRES]
        )
        # Any square root of the precision gives the same distances.
        scaled = scaled @ np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(within).precision_)
    plain = GaussianKDE(density.bandwidths_[2]).fit(scaled[labels == "real"])
    assert np.allclose(density.novelty(known)[:, 2], -plain.score_samples(scaled), rtol=0, atol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_whitening_sees_thin_directions(whiten: bool) -> None:
    # Two dimensions that nearly agree within a class: a point where they disagree is ordinary in each of them alone.
    generator = np.random.default_rng(0)
    common = generator.normal(0, 1, (200, 1))
    rows = np.hstack([common, common]) + generator.normal(0, 0.03, (200, 2))
    density = OpenSetDensity(whiten=whiten).fit(
        rows[:100], ["one"] * 100, calibration_embeddings=rows[100:], calibration_labels=["one"] * 100
    )
    assert (density.p_values([[0.25, -0.25]])[0, 0] == density.smallest_p_[0]) == whiten


def test_ties_count_as_novel() -> None:
    # A calibration image asked again ties with itself, so its p-value is never the smallest possible.
    density = fitted()
    most_novel = drawn(60, 1)[0][:60][np.argmax(density.novelty(drawn(60, 1)[0][:60])[:, 0])]
    assert density.p_values(most_novel[None])[0, 0] == 2 / 61


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_more_novel_never_likelier(seed: int) -> None:
    density = fitted()
    queries = np.random.default_rng(seed).normal(0, 4, (20, DIMENSIONS))
    order = np.argsort(density.novelty(queries)[:, 1])
    assert (np.diff(density.p_values(queries)[order, 1]) <= 0).all()


def test_far_images_reach_floor() -> None:
    density = fitted()
    far = density.p_values(np.full((1, DIMENSIONS), 50))
    assert np.array_equal(far[0], density.smallest_p_)


def test_own_class_fits_best() -> None:
    queries, labels = drawn(30, 5)
    density = fitted()
    nearest = density.classes_[np.argmin(density.novelty(queries), axis=1)]
    assert (nearest == labels).mean() > 0.95


def test_batch_size_changes_nothing() -> None:
    density, queries = fitted(), drawn(20, 5)[0]
    alone = np.concatenate([density.p_values(query[None]) for query in queries])
    assert np.array_equal(density.p_values(queries), alone)


def test_constant_dimensions_are_harmless() -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    flat = OpenSetDensity().fit(
        np.pad(known, ((0, 0), (0, 2))), labels,
        calibration_embeddings=np.pad(others, ((0, 0), (0, 2))), calibration_labels=other_labels,
    )  # fmt: skip
    assert np.array_equal(flat.p_values(np.pad(others, ((0, 0), (0, 2)))), fitted().p_values(others))


def test_attainable_alphas_are_told() -> None:
    density = fitted(calibration=60)
    assert density.attainable(0.05).all()
    assert not density.attainable(0.01).any()


@pytest.mark.parametrize("shared", [1, 3])
def test_shared_embeddings_are_refused(shared: int) -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    others[:shared] = known[:shared]
    with pytest.raises(ValueError, match=f"{shared} of 180 calibration"):
        OpenSetDensity().fit(known, labels, calibration_embeddings=others, calibration_labels=other_labels)


def test_uncalibrated_class_is_refused() -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1, names=("alpha-1", "beta-2"))
    with pytest.raises(ValueError, match="'real'"):
        OpenSetDensity().fit(known, labels, calibration_embeddings=others, calibration_labels=other_labels)


def test_infinite_embeddings_are_refused() -> None:
    density, queries = fitted(), drawn(1, 3)[0]
    queries[1, 2] = np.inf
    with pytest.raises(ValueError, match="1 of 3"):
        density.p_values(queries)


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="5 dimensions; 6"):
        fitted().p_values(np.zeros((1, 5)))


def test_unfitted_use_is_named() -> None:
    with pytest.raises(NotFittedError):
        OpenSetDensity().p_values(np.zeros((1, 2)))


def test_clone_keeps_parameters() -> None:
    assert clone(fitted()).model_version == "starter-0123456789ab"
