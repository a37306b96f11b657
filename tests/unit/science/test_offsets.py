"""The offset of a new class: the largest at which known answers stay, held to a plain recomputation of the answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from leaktrace.science.gates import GateRules
from leaktrace.science.offsets import SPENT, Calibrating, fit_offset, largest_offset, steep_slope

LEAST = 0.5
NEW = 2


def named_with(images: Calibrating, offset: float, *, temperature: float) -> NDArray[np.int64]:
    """The likeliest class of each image, -1 where it is not likely enough."""
    shifted = images.scores.copy()
    shifted[:, images.index] += offset
    chances = softmax(shifted / temperature, axis=1)
    return np.where(chances.max(axis=1) >= LEAST, chances.argmax(axis=1), -1)


def calibrating(seed: int, *, count: int = 60, overlap: float = 1.0) -> Calibrating:
    """Three known classes and a new one, a quarter of the images each; the new one is at index 2."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), count)
    scores = random.normal(scale=overlap, size=(len(labels), 4)) + 3 * np.eye(4)[labels]
    images = Calibrating(scores, labels, np.zeros(len(labels), np.int64), np.zeros(len(labels)), NEW)
    named = named_with(images, -1e9, temperature=1.0)
    named[labels == NEW] = -1
    return replace(images, named=named)


def lost(images: Calibrating, offset: float, *, temperature: float = 1.0) -> NDArray[np.bool_]:
    after = named_with(images, offset, temperature=temperature)
    return (images.named >= 0) & (after != images.named)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), max_flips=st.sampled_from([0.0, 0.005, 0.02, 0.1]))
def test_largest_offset_is_just_bearable(seed: int, max_flips: float) -> None:
    images = calibrating(seed)
    rules = GateRules(max_flips=max_flips, max_class_loss=1.0)
    offset = largest_offset(images, temperature=1.0, min_probability=LEAST, rules=rules)
    allowed = SPENT * max_flips * (images.named >= 0).sum()
    assert lost(images, offset).sum() <= allowed < lost(images, offset + 1e-3 * np.ptp(images.scores)).sum()


def test_no_class_is_sacrificed() -> None:
    images = calibrating(3, overlap=1.5)
    rules = GateRules(max_flips=0.5, max_class_loss=0.1)
    offset = largest_offset(images, temperature=1.0, min_probability=LEAST, rules=rules)
    own = [lost(images, offset)[(images.labels == label) & (images.named == label)] for label in (0, 1, 3)]
    assert max(flipped.sum() for flipped in own) == 3


def test_likelihood_asks_for_more_than_is_bearable() -> None:
    images = calibrating(1, overlap=2.0)
    offset, temperature = fit_offset(images)
    most = largest_offset(images, temperature=temperature, min_probability=0.0, rules=GateRules())
    assert most < offset


def new_class_found(images: Calibrating) -> float:
    """The share of the new class's images that get its name where no known answer is lost."""
    told = images.weighed(steep_slope(images, temperature=1.0))
    offset = largest_offset(told, temperature=1.0, min_probability=LEAST, rules=GateRules())
    assert not lost(told, offset).any()
    return float((named_with(told, offset, temperature=1.0)[images.labels == NEW] == NEW).mean())


def test_evidence_counts_where_scores_say_little() -> None:
    images = calibrating(4, overlap=2.0)
    own = images.labels == NEW
    noise = np.random.default_rng(0).normal(size=len(own))
    assert new_class_found(replace(images, evidence=1_000.0 * (6 * own + noise))) >= 0.95
    assert new_class_found(images) < 0.2


def test_evidence_against_the_new_class_counts_nothing() -> None:
    images = calibrating(5)
    turned = replace(images, evidence=np.where(images.labels == NEW, -1.0, 1.0))
    assert steep_slope(turned, temperature=1.0) == 0


@pytest.mark.parametrize(("temperature", "bearable"), [(1.0, True), (50.0, False)])
def test_temperature_alone_may_cost_answers(temperature: float, bearable: bool) -> None:
    images = calibrating(2)
    most = largest_offset(images, temperature=temperature, min_probability=LEAST, rules=GateRules())
    assert np.isfinite(most) == bearable
