"""What gates allow to the last image: golden p-values as far as other calibration images move them, recalls a share."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from leaktrace.science.gates import GateRules, Sample, _class_recalls, _golden
from leaktrace.science.judging import Judge

GOLDEN = np.zeros((1, 2), np.float32)


def judge(p_value: float, *, images: int) -> Judge:
    """One that gives every golden image this p-value, from so many calibration images."""
    density: Any = SimpleNamespace(
        p_values=lambda embeddings: np.full((len(embeddings), 1), p_value),
        calibration_counts_=np.array([images]),
    )
    return cast(Judge, SimpleNamespace(classes=("a",), density=density))


@pytest.mark.parametrize(
    ("images", "before", "after", "passed"),
    [
        (30, 0.50, 0.67, True),  # two standard errors of 0.090 are 0.180
        (30, 0.50, 0.69, False),
        (30, 2 / 31, 4 / 31, True),  # two steps, within two standard errors of 0.044
        (30, 2 / 31, 5 / 31, False),
        (10_000, 0.50, 0.54, True),
        (10_000, 0.50, 0.56, False),
        (30, 1.00, 0.90, False),  # one step from the end
    ],
)
def test_golden_tolerance_follows_the_calibration(
    images: int, before: float, after: float, passed: bool
) -> None:
    gate = _golden(judge(before, images=images), judge(after, images=images), GOLDEN, rules=GateRules())
    assert (gate.passed, gate.measured) == (passed, pytest.approx(abs(after - before)))


def test_no_golden_image_moves_nothing() -> None:
    gate = _golden(judge(0.1, images=30), judge(0.9, images=30), GOLDEN[:0], rules=GateRules())
    assert gate.passed


@pytest.mark.parametrize(("lost", "passed"), [(2, True), (3, False)])
def test_recall_may_lose_its_share(lost: int, passed: bool) -> None:
    images = 200
    before = np.full(images, "a")
    after = np.where(np.arange(images) < lost, "b", before)
    vectors = np.zeros((images, 2), np.float32)
    (gate,) = _class_recalls(Sample(vectors, vectors, before), before, after, rules=GateRules())
    assert gate.passed is passed
