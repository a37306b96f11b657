"""The kernel density against a slow plain recomputation, a hand-worked case and scikit-learn's own contract."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from sklearn.utils.estimator_checks import check_estimator

from leaktrace.science.kde import GaussianKDE


def points(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def plain_log_density(query: np.ndarray, known: np.ndarray, bandwidth: float) -> float:
    """Term by term, from exact differences, with compensated sums."""
    exponents = [-math.fsum((query - point) ** 2) / (2 * bandwidth**2) for point in known]
    highest = max(exponents)
    total = math.fsum(math.exp(exponent - highest) for exponent in exponents)
    constant = math.log(len(known)) + len(query) * math.log(bandwidth * math.sqrt(2 * math.pi))
    return highest + math.log(total) - constant


def worst_error(known: np.ndarray, queries: np.ndarray, bandwidth: float) -> float:
    scores = GaussianKDE(bandwidth).fit(known).score_samples(queries)
    plain = [plain_log_density(query, known, bandwidth) for query in queries]
    return float(np.abs(scores - plain).max())


def test_single_point_by_hand() -> None:
    # One kernel of bandwidth 2 in one dimension, queried at distance 2: log(exp(-1/2) / (2 sqrt(2 pi))).
    score = GaussianKDE(2.0).fit([[1.0]]).score_samples([[3.0]])[0]
    assert score == pytest.approx(-0.5 - math.log(2 * math.sqrt(2 * math.pi)), abs=1e-15)


@pytest.mark.parametrize("bandwidth", [0.1, 0.4, 1.0])
def test_plain_sum_is_matched(bandwidth: float) -> None:
    known = points(150, 128)
    queries = np.concatenate([points(20, 128, 1), known[:5], known[:5] + 1e-6])
    assert worst_error(known, queries, bandwidth) < 1e-9


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_far_origin_is_matched(offset: float) -> None:
    known = points(60, 16) + offset
    assert worst_error(known, points(8, 16, 1) + offset, 0.3) < 1e-9


def test_far_clusters_are_matched() -> None:
    # Centring cannot help here: the product form alone would be off by about 1e-3 nats.
    known = np.concatenate([points(40, 16) + 1e5, points(40, 16) - 1e5])
    assert worst_error(known, known[::8] + 0.1, 0.1) < 1e-8


@given(chunk_bytes=st.integers(1, 20_000), queries=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_chunks_change_nothing(chunk_bytes: int, queries: int) -> None:
    known, asked = points(50, 8), points(queries, 8, 1)
    whole = GaussianKDE(0.5).fit(known).score_samples(asked)
    chunked = GaussianKDE(0.5, chunk_bytes=chunk_bytes).fit(known).score_samples(asked)
    assert np.abs(whole - chunked).max() < 1e-9


def test_one_by_one_agrees() -> None:
    kde = GaussianKDE(0.4).fit(points(100, 128))
    queries = points(12, 128, 1)
    together, alone = kde.score_samples(queries), [kde.score_samples(q[None])[0] for q in queries]
    assert np.abs(together - alone).max() < 1e-9


def test_search_matches_grid_search() -> None:
    known, candidates = points(200, 3), (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    kde = GaussianKDE(bandwidths=candidates).fit(known)
    folds = KFold(5, shuffle=True, random_state=0)
    exact = KernelDensity(leaf_size=1000)  # one leaf: its tree is exact only so
    search = GridSearchCV(exact, {"bandwidth": candidates}, cv=folds).fit(known)
    assert kde.bandwidth_ == search.best_params_["bandwidth"]
    assert np.allclose(kde.log_likelihoods_ / 5, search.cv_results_["mean_test_score"], rtol=0, atol=1e-6)


def test_density_integrates_to_one() -> None:
    kde = GaussianKDE(0.3).fit(points(20, 1))
    grid = np.linspace(-10, 10, 20_001)
    assert np.exp(kde.score_samples(grid[:, None])).sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-9)


def test_duplicates_stay_finite() -> None:
    assert np.isfinite(GaussianKDE().fit(np.ones((20, 128))).score_samples(np.full((1, 128), 50.0))).all()


def test_refitting_starts_afresh() -> None:
    kde = GaussianKDE(0.5).fit(points(30, 4))
    again = kde.fit(points(40, 6, 1)).score_samples(points(5, 6, 2))
    assert np.array_equal(again, GaussianKDE(0.5).fit(points(40, 6, 1)).score_samples(points(5, 6, 2)))


def test_unfitted_use_is_named() -> None:
    with pytest.raises(NotFittedError):
        GaussianKDE().score_samples([[0.0]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bandwidth": -1.0}, "-1.0"),
        ({"bandwidth": "silverman"}, "silverman"),
        ({"bandwidths": (0.1, 0.0)}, "0.0"),
        ({"folds": 31}, "31 folds cannot be made of n_samples = 30"),
    ],
)
def test_wrong_settings_name_value(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GaussianKDE(**options).fit(points(30, 4))


def test_keeps_scikit_learn_contract() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(GaussianKDE(), on_fail=None)
    assert [check["check_name"] for check in results if check["status"] == "failed"] == []
