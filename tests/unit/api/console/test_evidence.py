"""The verdict in plain words, and its numbers as bars that fit."""

from typing import Any

import pytest

from api.console.evidence import describe, headline
from api.examples import ATTRIBUTION
from api.result_schemas import Attribution


def attribution(**changes: Any) -> Attribution:
    return Attribution.model_validate({**ATTRIBUTION, **changes})


@pytest.mark.parametrize(
    ("verdict", "generator", "said"),
    [
        ("generator", "sdxl-1.0", "It looks like an image by sdxl-1.0"),
        ("generator", "real", "It looks like a photograph"),
        ("unseen", None, "No generator that the model knows makes images like this"),
        ("inconclusive", None, "The evidence does not decide"),
    ],
)
def test_headline_says_verdict(verdict: str, generator: str | None, said: str) -> None:
    assert headline(verdict, generator) == said


def test_named_class_gives_p_value() -> None:
    found = attribution(p_value=0.9, p_values={"sdxl-1.0": 0.41, "sd-2.1": 0.9, "real": 0.01})
    evidence = describe(found)
    assert evidence.p_value == 0.41
    assert evidence.fit.startswith("About 41 in 100 known images of sdxl-1.0")


def test_smallest_p_is_not_counted() -> None:
    evidence = describe(attribution(p_values={"sdxl-1.0": 0.011}))
    assert evidence.fit.startswith("Hardly any known images of sdxl-1.0")


def test_classes_go_by_probability() -> None:
    rows = describe(attribution()).classes
    assert [(row.name, row.is_named, row.is_ruled_out) for row in rows] == [
        ("sdxl-1.0", True, False),
        ("sd-2.1", False, True),
        ("real", False, True),
    ]


def test_feature_bars_part_in_middle() -> None:
    features = [
        {"index": 1, "gate": 0.5, "contribution": 0.4},
        {"index": 2, "gate": 0.5, "contribution": -0.2},
    ]
    bars = describe(attribution(explanation={"features": features})).features
    assert [(bar.start, bar.width) for bar in bars] == [(50.0, 50.0), (25.0, 25.0)]


def test_parts_are_measured_by_largest() -> None:
    crops = [
        {"left": 0, "top": 0, "width": 256, "height": 256, "margin": margin} for margin in (2.0, -4.0, 0.0)
    ]
    parts = describe(attribution(explanation={"crops": crops})).parts
    assert [part.strength for part in parts] == [0.5, 1.0, 0.0]


def test_old_explanation_leaves_parts_empty() -> None:
    evidence = describe(attribution(explanation={}))
    assert (evidence.steps, evidence.features, evidence.prototypes, evidence.closest, evidence.margin) == (
        [],
        [],
        [],
        None,
        None,
    )
