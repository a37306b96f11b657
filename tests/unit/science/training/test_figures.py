"""Figures are nested where a reader looks for them, groups are fair, and what cannot be promised is said."""

import json

import numpy as np
import pytest

from leaktrace.science.training.answers import Answers, Calibrated, Truths
from leaktrace.science.training.figures import false_alarms, figures_of

CLASSES = ("a", "b", "real")


def drawn(*, sides: int = 512, calibration: int = 30, tier: str = "") -> Answers:
    """20 images of each class and 20 of an unseen one; probabilities lean to the truth, novelty to the unseen."""
    random = np.random.default_rng(0)
    generators = np.repeat(["a", "b", "real", "new"], 20)
    logits = random.normal(size=(80, 3))
    logits[np.arange(60), np.arange(60) // 20] += 2
    exponentials = np.exp(logits)
    p_values = random.random((80, 3))
    return Answers(
        Truths(
            tuple(str(index) for index in range(80)),
            generators,
            np.where(generators == "new", tier, ""),
            np.full((80, 2), sides),
        ),
        CLASSES,
        exponentials / exponentials.sum(1, keepdims=True),
        random.normal(size=80) + (generators == "new"),
        Calibrated(p_values, np.full(3, 1 / (calibration + 1))),
    )


def test_figures_are_plain_json() -> None:
    figures = json.loads(json.dumps(figures_of(drawn(), tiers={"far": ("new",)}), allow_nan=False))
    assert figures["closed_set"]["images"] == 60
    assert figures["closed_set"]["class_auc"]["real"]["low"] > 0.5
    assert figures["open_set"]["tier far"]["auroc"] == figures["open_set"]["new"]["auroc"]


def test_group_shares_out_probabilities() -> None:
    figures = figures_of(drawn(), tiers={})
    assert figures["groups"]["512px"]["generators"] == ["a", "b"]
    assert figures["groups"]["512px"]["images"] == 40
    assert figures["groups"]["512px"]["top1"]["value"] > figures["closed_set"]["top1"]["value"]


def test_other_sizes_make_no_group() -> None:
    assert figures_of(drawn(sides=500), tiers={})["groups"] == {}


def test_data_can_name_tiers() -> None:
    assert figures_of(drawn(tier="medium"), tiers={})["open_set"]["tier medium"]["images"] == 20


def test_known_generator_is_in_no_tier() -> None:
    figures = figures_of(drawn(), tiers={"far": ("a", "new")})
    assert figures["open_set"]["tier far"]["images"] == 20


def test_confusion_counts_known_images() -> None:
    counts = figures_of(drawn(), tiers={})["closed_set"]["confusion"]["counts"]
    assert np.sum(counts, axis=1).tolist() == [20, 20, 20]


def test_small_calibration_cannot_alarm() -> None:
    alarms = false_alarms(drawn(calibration=30))
    assert alarms is not None
    assert alarms["0.05"]["a"]["attainable"]
    assert not alarms["0.01"]["a"]["attainable"]
    assert alarms["0.01"]["a"]["calibration_images_needed"] == 99


def test_false_alarms_are_counted() -> None:
    answers = drawn()
    assert answers.calibrated is not None
    answers.calibrated.p_values[:20, 0] = np.repeat([0.05, 0.5], 10)
    alarms = false_alarms(answers)
    assert alarms is not None
    assert alarms["0.05"]["a"]["rate"] == 0.5


def test_one_known_class_is_no_closed_set() -> None:
    answers = drawn()
    figures = figures_of(answers[np.flatnonzero(np.isin(answers.truths.generators, ["a", "new"]))], tiers={})
    assert figures["closed_set"] is None
    assert figures["open_set"]["new"]["images"] == 20


def test_shapes_must_agree() -> None:
    answers = drawn()
    with pytest.raises(ValueError, match=r"\(80, 2\)"):
        Answers(answers.truths, CLASSES, answers.probabilities[:, :2], answers.novelty)
