"""What the truncated density leaves out stays within the bound that it states, whatever the points."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from leaktrace.science.kde import GaussianKDE
from leaktrace.science.truncated_kde import TruncatedKDE

ROUNDING_NATS = 2e-9


def clustered(count: int, dimensions: int, *, spread: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.normal(scale=spread, size=(5, dimensions))
    return centres[random.integers(5, size=count)] + random.normal(size=(count, dimensions))


@given(
    seed=st.integers(0, 10_000),
    dimensions=st.integers(1, 24),
    bandwidth=st.floats(0.05, 3),
    tolerance=st.floats(1e-8, 1),
    spread=st.floats(0, 30),
    cells=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_omitted_mass_stays_in_bound(
    seed: int, dimensions: int, bandwidth: float, tolerance: float, spread: float, cells: int
) -> None:
    known = clustered(200, dimensions, spread=spread, seed=seed)
    queries = 1.5 * clustered(20, dimensions, spread=spread, seed=seed)
    truncated = TruncatedKDE(bandwidth, tolerance=tolerance, cells=cells).fit(known)
    scores, bounds = truncated.bounded_scores(queries)
    missing = GaussianKDE(bandwidth).fit(known).score_samples(queries) - scores
    assert (missing >= -ROUNDING_NATS).all()
    assert (missing <= bounds + ROUNDING_NATS).all()
    assert (bounds <= tolerance * (1 + 1e-9)).all()


def test_far_cells_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    known = clustered(500, 16, spread=20, seed=1)
    truncated = TruncatedKDE(0.5, cells=5).fit(known)
    asked = []
    for cell in truncated.cells_:
        monkeypatch.setattr(cell, "score_samples", counted(cell, asked))
    truncated.score_samples(known[:50])
    assert sum(asked) == 50  # one cell a query instead of five


def counted(cell: GaussianKDE, asked: list[int]):
    scored = type(cell).score_samples
    return lambda rows: (asked.append(len(rows)), scored(cell, rows))[1]


def test_chunks_change_nothing() -> None:
    known, queries = clustered(200, 6, spread=3, seed=0), clustered(30, 6, spread=3, seed=0)
    whole = TruncatedKDE(0.5).fit(known).score_samples(queries)
    chunked = TruncatedKDE(0.5, chunk_bytes=2000).fit(known).score_samples(queries)
    assert np.abs(whole - chunked).max() < ROUNDING_NATS


def test_wrong_tolerance_is_named() -> None:
    with pytest.raises(ValueError, match="tolerance is 0"):
        TruncatedKDE(1.0, tolerance=0).fit(np.eye(4))


def test_keeps_scikit_learn_contract() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(TruncatedKDE(1.0), on_fail=None)
    assert [check["check_name"] for check in results if check["status"] == "failed"] == []
