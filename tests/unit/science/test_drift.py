"""Drift: what chance gives raises no alarm, what moves does, and what is significant but small does not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from leaktrace.science.drift import DriftRules, Finding, embedding_shift, rate_changes, uniformity

RULES = DriftRules()


def draw(seed: int, *shape: int, mean: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, 1, shape)


def golden(novelty: NDArray[np.float64], *, calibration: int = 200) -> list[Finding]:
    return uniformity("golden", {"a": novelty}, {"a": draw(1, calibration)}, rules=RULES, least=0.0)


def test_exchangeable_images_are_uniform() -> None:
    alarms = sum(golden(draw(seed, 200))[0].alarm for seed in range(100, 200))
    assert alarms <= 5  # 1 % of the calibration sets, all of which share one


def test_images_less_typical_are_told() -> None:
    (finding,) = golden(draw(2, 200, mean=1.0))
    assert (finding.alarm, finding.kind, finding.subject) == (True, "golden", "a")
    assert "less typical than its 200 calibration images" in finding.reason


def test_few_calibration_images_accuse_nobody() -> None:
    assert not any(golden(draw(seed, 2_000), calibration=30)[0].alarm for seed in range(10))


def test_class_without_images_is_not_tested() -> None:
    assert golden(draw(3, 5)) == []


def test_small_live_difference_is_no_alarm() -> None:
    scores = {"a": draw(1, 20_000)}
    (finding,) = uniformity("live", {"a": draw(2, 20_000, mean=0.08)}, scores, rules=RULES, least=0.1)
    assert (finding.p_value < RULES.significance, finding.alarm) == (True, False)


@pytest.mark.parametrize(("now", "alarm"), [(10, False), (30, True)])
def test_rates_are_compared_with_intervals(now: int, alarm: bool) -> None:
    findings = rate_changes({"a": 200 - now, "unseen": now}, {"a": 380, "unseen": 20}, rules=RULES)
    (unseen,) = [one for one in findings if one.subject == "unseen"]
    assert unseen.alarm is alarm
    assert unseen.reason.startswith("unseen went from 5.0% (3.3% to 7.6%) to ")


def test_alike_embeddings_have_not_shifted() -> None:
    (finding,) = embedding_shift(draw(1, 60, 8), draw(2, 80, 8), rules=RULES)
    assert (finding.alarm, finding.p_value > 0.05) == (False, True)


def test_shifted_embeddings_are_told() -> None:
    (finding,) = embedding_shift(draw(1, 60, 8, mean=0.7), draw(2, 80, 8), rules=RULES)
    assert (finding.alarm, finding.p_value) == (True, 0.001)


def test_energy_agrees_with_plain_means() -> None:
    """Two points against one, by hand: 2 x 1.5 - 0.5 - 0, over 2 x 1.5, on a line; twenty of each."""
    recent, trailing = np.repeat([[0.0], [1.0]], 20, axis=0), np.repeat([[2.0]], 40, axis=0)
    (finding,) = embedding_shift(recent, trailing, rules=RULES)
    assert finding.effect == pytest.approx((2 * 1.5 - 0.5) / (2 * 1.5))
