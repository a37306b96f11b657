"""Neighbours and one Gaussian as log densities: against hand-worked cases, plain recomputation and the contract."""

import math
import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from leaktrace.science.estimators import GaussianDensity, NeighbourDensity


def points(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def test_one_neighbour_by_hand() -> None:
    # Two points on a line, queried 3 from the nearer: 1 / (2 points x length 2 x 3).
    score = NeighbourDensity(1).fit([[0.0], [10.0]]).score_samples([[3.0]])[0]
    assert score == pytest.approx(math.log(1 / 12))


def test_order_is_by_kth_distance() -> None:
    known, queries = points(60, 8), 2 * points(20, 8, 1)
    scores = NeighbourDensity(7, chunk_bytes=1000).fit(known).score_samples(queries)
    radii = np.sort(cdist(queries, known), axis=1)[:, 6]
    assert np.array_equal(np.argsort(scores), np.argsort(-radii))


def test_repeated_point_stays_finite() -> None:
    assert np.isfinite(NeighbourDensity(1).fit(points(10, 4)).score_samples(points(10, 4))).all()


def test_gaussian_is_a_shrunk_normal() -> None:
    known, queries = points(60, 5) @ points(5, 5, 1), points(20, 5, 2)
    shrunk = LedoitWolf().fit(known)
    plain = multivariate_normal(shrunk.location_, shrunk.covariance_).logpdf(queries)
    assert np.allclose(GaussianDensity().fit(known).score_samples(queries), plain, rtol=0, atol=1e-9)


def test_no_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match="neighbours is 0"):
        NeighbourDensity(0).fit(points(10, 2))


@pytest.mark.parametrize(
    "estimator", [NeighbourDensity(), GaussianDensity()], ids=lambda one: type(one).__name__
)
def test_keeps_scikit_learn_contract(estimator: BaseEstimator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(estimator, on_fail=None)
    assert [check["check_name"] for check in results if check["status"] == "failed"] == []


@pytest.mark.parametrize(
    "estimator", [NeighbourDensity(), GaussianDensity()], ids=lambda one: type(one).__name__
)
def test_unfitted_use_is_named(estimator: NeighbourDensity | GaussianDensity) -> None:
    with pytest.raises(NotFittedError):
        estimator.score_samples([[0.0]])
