"""Runs come back from JSON as they were, and a comparison is paired: what both get wrong cancels out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaktrace.science.training.answers import Answers, Truths
from leaktrace.science.training.figures import figures_of
from leaktrace.science.training.runs import RunUnreadable, answers_of_run, compare, joined, mcnemar, read_run

CLASSES = ("a", "b")


def run(*, right: float, seed: int = 0, name: str = "m", count: int = 100) -> dict[str, Any]:
    """A run of `count` images whose first `right` share is named rightly, with a little noise."""
    random = np.random.default_rng(seed)
    records = []
    for index in range(count):
        truth = index % 2
        lean = 0.8 if index < right * count else 0.2
        share = lean + random.uniform(-0.05, 0.05)
        probabilities = {CLASSES[truth]: share, CLASSES[1 - truth]: 1 - share}
        records.append(
            {
                "file": f"{index}.png",
                "truth": CLASSES[truth],
                "tier": "",
                "width": 512,
                "height": 512,
                "probabilities": probabilities,
                "novelty": float(random.normal()),
            }
        )
    return {
        "format": 2,
        "model": name,
        "protocol": "neutral",
        "tiers": {},
        "classes": list(CLASSES),
        "records": records,
    }


def figure(comparison: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in comparison["figures"] if found["figure"] == name)


def test_better_run_is_significant() -> None:
    found = figure(compare([run(right=0.9)], [run(right=0.7, seed=1)]), "closed_set / top1")
    assert found["difference"]["value"] == pytest.approx(0.2)
    assert found["difference"]["low"] > 0
    assert found["p"] < 0.01


def test_run_equals_itself() -> None:
    comparison = compare([run(right=0.8)], [run(right=0.8)])
    assert all(
        found["difference"]["low"] == found["difference"]["high"] == 0 for found in comparison["figures"]
    )
    assert comparison["mcnemar"]["p"] == 1


def test_only_shared_images_count() -> None:
    assert compare([run(right=0.8)], [run(right=0.8, count=60)])["images"] == 60


def test_seeds_stand_for_their_mean() -> None:
    comparison = compare([run(right=0.9), run(right=0.7)], [run(right=0.8)])
    assert figure(comparison, "closed_set / top1")["first"] == pytest.approx(0.8)


def test_several_models_give_spread() -> None:
    over = joined([run(right=0.9), run(right=0.7), run(right=0.8)])["over_models"]["closed_set / top1"]
    assert over["value"] == pytest.approx(0.8)
    assert over["spread"] == pytest.approx(0.1)


def test_one_model_stays_itself() -> None:
    only = run(right=0.9)
    assert joined([only]) is only


def test_disjoint_runs_are_refused() -> None:
    other = run(right=0.8)
    for record in other["records"]:
        record["file"] = f"other/{record['file']}"
    with pytest.raises(RunUnreadable, match="share no image"):
        compare([run(right=0.8)], [other])


def test_truths_must_agree() -> None:
    other = run(right=0.8)
    other["records"][0]["truth"] = "b"
    with pytest.raises(RunUnreadable, match="disagree"):
        compare([run(right=0.8)], [other])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"records": [{}], "classes": ["a"]}'])
def test_foreign_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunUnreadable, match="leaktrace evaluate"):
        read_run(tmp_path / "run.json")


def test_file_keeps_the_figures(tmp_path: Path) -> None:
    written = run(right=0.85)
    (tmp_path / "run.json").write_text(json.dumps(written), encoding="utf-8")
    (back,) = read_run(tmp_path / "run.json")
    figures = [figures_of(answers_of_run(one), tiers={}) for one in (written, back)]
    assert figures[0] == figures[1]


def test_mcnemar_by_hand() -> None:
    # The first alone is right on 8 images, the second alone on 1: 2 * (1 + 9) / 2^9.
    truths = Truths(
        tuple(map(str, range(20))), np.repeat(["a", "b"], 10), np.full(20, "", np.str_), np.ones((20, 2), int)
    )

    def answers(wrong: list[int]) -> Answers:
        probabilities = np.eye(2)[np.arange(20) // 10]
        probabilities[wrong] = probabilities[wrong, ::-1]
        return Answers(truths, CLASSES, probabilities, np.zeros(20))

    found = mcnemar(answers([0]), answers(list(range(1, 9))))
    assert found is not None
    assert (found["only_first_right"], found["only_second_right"]) == (8, 1)
    assert found["p"] == pytest.approx(2 * 10 / 2**9)
