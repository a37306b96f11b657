"""Discriminants between enrolled and trained classes, held to scikit-learn's and to their own sums."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from leaktrace.science.discriminants import SHRINKAGE, Discriminants, fit_discriminants

CLASSES, DIMENSIONS, JUDGED = 3, 12, 8


def known(seed: int = 0, *, count: int = 200) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Classes with one covariance, in units of their own; the last dimensions share a unit."""
    random = np.random.default_rng(seed)
    labels = np.arange(CLASSES).repeat(count)
    units = np.concatenate([np.geomspace(0.01, 100, JUDGED), np.geomspace(0.5, 5, DIMENSIONS - JUDGED)])
    centres = random.normal(size=(CLASSES, DIMENSIONS))
    points = (centres[labels] + random.normal(size=(len(labels), DIMENSIONS))) * units
    return points.astype(np.float32), labels


def fitted(*, judged_dim: int = JUDGED) -> tuple[Discriminants, NDArray[np.float32]]:
    points, labels = known()
    strangers = points[labels == 0] + points.std(axis=0)
    centres = strangers.mean(axis=0, dtype=np.float64)[None]
    return fit_discriminants(points, labels, centres=centres, judged_dim=judged_dim), strangers


def test_trained_classes_are_told_apart_as_by_scikit_learn() -> None:
    points, labels = known()
    found, _ = fitted(judged_dim=DIMENSIONS)
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    # Its own shrinkage is towards the mean variance, so ours is given as an estimator.
    reference = LinearDiscriminantAnalysis(
        solver="lsqr", covariance_estimator=Shrunk(), priors=np.full(CLASSES, 1 / CLASSES)
    ).fit(scaled, labels)
    assert np.array_equal(found.nearest_trained(points.astype(np.float64)), reference.predict(scaled))


class Shrunk(BaseEstimator):
    """A covariance estimator for scikit-learn: shrunk towards the identity."""

    def fit(self, points: NDArray[np.float64]) -> "Shrunk":
        centred = points - points.mean(axis=0)
        self.covariance_ = (1 - SHRINKAGE) * centred.T @ centred / len(points) + SHRINKAGE * np.eye(
            points.shape[1]
        )
        return self


def test_new_class_is_told_from_the_nearest_trained_one() -> None:
    found, strangers = fitted()
    points, _ = known(1)
    assert (found.evidence(strangers.astype(np.float64)) > 0).mean() > 0.9
    assert (found.evidence(points.astype(np.float64)) < 0).mean() > 0.9


def test_evidence_is_the_sum_of_its_parts() -> None:
    found, strangers = fitted()
    given = strangers.astype(np.float64)
    directions, middles = found.between(0, found.nearest_trained(given))
    parts = directions * (given - middles)
    assert found.evidence(given)[:, 0] == pytest.approx(parts.sum(axis=1), rel=1e-9, abs=1e-9)


def test_kept_numbers_keep_their_proportions() -> None:
    """A number of no gate that hardly varies hardly counts, while a judged one counts in its own deviation."""
    points, labels = known()
    shrunk = points.copy()
    shrunk[:, -1] *= np.float32(1e-3)
    centre = (points[labels == 0].mean(axis=0) + 3 * points.std(axis=0)).astype(np.float64)[None]
    centre_shrunk = centre * np.array([1.0] * (DIMENSIONS - 1) + [1e-3])
    tilts = []
    for known_points, middle in ((points, centre), (shrunk, centre_shrunk)):
        found = fit_discriminants(known_points, labels, centres=middle, judged_dim=JUDGED)
        directions, _ = found.between(0, np.array([0]))
        tilts.append(abs(directions[0, -1]) * known_points[:, -1].std())
    assert tilts[1] < 0.01 * tilts[0]
