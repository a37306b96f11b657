"""The page of an evaluation holds all that it shows, loads nothing, and copes with runs that lack a part."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leaktrace.cli.charts import Axis, Series, lines, shares
from leaktrace.cli.evaluation_curves import class_curves, reliability_bins, unseen_curves
from leaktrace.cli.evaluation_report import build_page
from leaktrace.science.training.answers import Answers
from leaktrace.science.training.evaluate import Plan, Surveys, beside_the_score
from leaktrace.science.training.figures import figures_of
from leaktrace.science.training.metrics import macro_auc
from leaktrace.science.training.postprocess import ATTACKS
from leaktrace.science.training.runs import answers_of_run
from leaktrace.science.training.survey import Surveyed

CLASSES = ("a", "<b>", "real")


def run_of(generators: list[str], *, count: int = 10) -> dict[str, Any]:
    """A run as the evaluation gives it, from random answers that lean to the truth."""
    random = np.random.default_rng(0)
    records = []
    for name in generators:
        for index in range(count):
            weights = random.random(3) + 0.7 * np.array([name == other for other in CLASSES])
            shares_ = (weights / weights.sum()).tolist()
            records.append(
                {
                    "file": f"{name}/{index}.png",
                    "truth": name,
                    "known": name in CLASSES,
                    "tier": "",
                    "width": 512,
                    "height": 512,
                    "predicted": CLASSES[int(np.argmax(weights))],
                    "novelty": float(random.normal()),
                    "probabilities": dict(zip(CLASSES, shares_, strict=True)),
                    "p_values": dict.fromkeys(CLASSES, 0.5),
                    "smallest_p": 1 / 31,
                    "attention": [0.75, 0.25],
                    "map": random.uniform(-1, 1, 2).tolist(),
                }
            )
    run = {"model": "m-1", "density": "d-1", "protocol": "neutral", "tiers": {}, "classes": list(CLASSES)}
    run |= {"records": records, "steps": [0, 100], "images": len(records), "refused": [], "format": 2}
    run |= {"manifest_sha256": "0" * 64, "left_out_because_they_made_the_model": 0}
    answers = answers_of_run(run)
    surveyed = [_surveyed(record) for record in records]
    return (
        run | figures_of(answers, tiers={}) | beside_the_score(answers, Surveys(surveyed, [], 0), plan=Plan())
    )


def _surveyed(record: dict[str, Any]) -> Surveyed:
    from leaktrace.science.images import ImageHeader
    from leaktrace.science.training.dataset import Sample

    sample = Sample(Path(record["file"]), record["file"], record["truth"], "test", record["file"])
    features = np.random.default_rng(1).random(8)
    return Surveyed(sample, "0", ImageHeader("PNG", 512, 512), np.zeros(64, bool), features, features)


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    return run_of([*CLASSES, "new"])


@pytest.fixture
def page(run: dict[str, Any], tmp_path: Path) -> str:
    wrong = next(r for r in run["records"] if r["known"] and r["predicted"] != r["truth"])
    (tmp_path / wrong["file"]).parent.mkdir()
    Image.new("RGB", (200, 160), "red").save(tmp_path / wrong["file"])
    return build_page([run], tmp_path)


def test_page_loads_nothing(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)[a-z]+:", page)
    assert "default-src 'none'" in page


def test_page_has_every_chart(page: str) -> None:
    for label in (
        "ROC of each class",
        "DET of novelty",
        "reliability",
        "confusion",
        "mean attention",
        "map of",
    ):
        assert f'aria-label="{label}' in page


def test_names_are_escaped(page: str) -> None:
    assert "&lt;b&gt;" in page
    assert "<td><b></td>" not in page
    assert ">real/<b>" not in page


def test_mistakes_have_thumbnails(page: str) -> None:
    assert "Worst mistakes" in page
    assert page.count("data:image/webp;base64,") <= 12
    assert "in truth" in page


def test_robustness_is_drawn(run: dict[str, Any], tmp_path: Path) -> None:
    point = {"level": 1.0, "macro_auc": {"value": 0.9, "low": 0.8, "high": 0.95}}
    curves = {name: {"unit": attack.unit, "points": [point]} for name, attack in ATTACKS.items()}
    robust = {"images": 30, "untouched": {"macro_auc": {"value": 0.95}}, "curves": curves}
    page = build_page([run | {"robustness": robust}], tmp_path)
    assert page.count('aria-label="macro AUC under') == len(ATTACKS)


@pytest.mark.parametrize("generators", [["new"], ["real"], ["a", "real"], ["real", "new"]])
def test_partial_runs_have_a_page(generators: list[str], tmp_path: Path) -> None:
    assert "m-1" in build_page([run_of(generators)], tmp_path)


def test_faithfulness_is_shown(run: dict[str, Any], tmp_path: Path) -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    row = {"removed": 1, "named": figure, "random": figure, "difference": figure, "named_changes_more": 0.83}
    found = {"images": 9, "margin": 2.0, "step": row, "features": row, "prototype": row}
    page = build_page([run | {"faithfulness": found}], tmp_path)
    assert page.count("83 %") == 3


def test_two_models_share_a_page(run: dict[str, Any], tmp_path: Path) -> None:
    page = build_page([run, run | {"model": "m-2"}], tmp_path)
    assert page.count("Map of the embeddings") == 2


def test_curve_encloses_the_auc(run: dict[str, Any]) -> None:
    answers = answers_of_run(run)
    known: Answers = answers[np.flatnonzero(answers.known)]
    areas = []
    for points in class_curves(answers).values():
        x, y = np.array(sorted(points)).T
        areas.append(np.trapezoid(y, x))
    expected = macro_auc(known.probabilities, known.labels, np.ones((1, len(known.labels))))[0]
    assert np.mean(areas) == pytest.approx(expected)


def test_unseen_curves_end_in_corners(run: dict[str, Any]) -> None:
    points = unseen_curves(answers_of_run(run))["new"]
    assert {points[0], points[-1]} == {(0.0, 0.0), (1.0, 1.0)}


def test_bins_count_known_images(run: dict[str, Any]) -> None:
    assert sum(count for *_, count in reliability_bins(answers_of_run(run))) == 30


def test_axis_cuts_at_its_ends() -> None:
    axis = Axis("x", 1, 100, [], scale=lambda value: float(np.log10(value)))
    assert [axis.place(value) for value in (0.1, 10, 1000)] == pytest.approx([0, 0.5, 1])


def test_chart_escapes_its_text() -> None:
    drawn = lines([Series("<x>", [(0, 0), (1, 1)], 0)], x=shares("a<"), y=shares("b"), label='"q"')
    assert "<x>" not in drawn
    assert "a&lt;" in drawn
    assert "&quot;q&quot;" in drawn
