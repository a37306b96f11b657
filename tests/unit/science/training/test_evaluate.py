"""An evaluation treats every image alike, leaves out what it was made from, and is at chance when nothing is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from leaktrace.science.attributor import Attributor
from leaktrace.science.training.dataset import read_dataset
from leaktrace.science.training.evaluate import NothingToEvaluate, evaluate
from tests.unit.science.conftest import CLASSES, write_pictures


def judged(path: Path, attributor: Attributor, **tiers: list[str]) -> dict:
    return evaluate(read_dataset(path), attributor, protocol="neutral", tiers=tiers, report=lambda *_: None)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh noise pictures under the known names and under one that no model was trained on."""
    root = tmp_path_factory.mktemp("strangers")
    write_pictures(root, generators=(*CLASSES, "gamma-3"), count=25, seed=9)
    return root


def test_manifest_judges_its_test_split(pictures: Path, attributor: Attributor) -> None:
    figures = judged(pictures, attributor)
    assert figures["closed_set"]["images"] == 12
    assert {record["known"] for record in figures["records"]} == {True}


def test_unknown_generator_is_unseen_truth(strangers: Path, attributor: Attributor) -> None:
    figures = judged(strangers, attributor)
    known = {record["truth"]: record["known"] for record in figures["records"]}
    assert known == {"alpha-1": True, "beta-2": True, "real": True, "gamma-3": False}


def test_one_distribution_is_at_chance(strangers: Path, attributor: Attributor) -> None:
    # All pictures are the same noise; were unknown ones treated otherwise, they would stand out.
    figure = judged(strangers, attributor)["open_set"]["gamma-3"]
    assert figure["low"] < 0.5 < figure["high"]


def test_answers_ignore_the_label(strangers: Path, attributor: Attributor, tmp_path: Path) -> None:
    renamed = tmp_path / "delta-4"
    renamed.symlink_to(strangers / "real")
    (tmp_path / "real").symlink_to(strangers / "gamma-3")
    novelty = [
        record["novelty"] for record in judged(strangers, attributor)["records"] if record["truth"] == "real"
    ]
    other = [
        record["novelty"]
        for record in judged(tmp_path, attributor)["records"]
        if record["truth"] == "delta-4"
    ]
    assert novelty == other


def test_training_images_are_left_out(pictures: Path, attributor: Attributor, tmp_path: Path) -> None:
    for generator in CLASSES:
        (tmp_path / generator).symlink_to(pictures / generator)
    figures = judged(tmp_path, attributor)
    assert figures["left_out_because_they_made_the_model"] == 36
    assert figures["images"] == 12


def test_only_training_images_is_an_error(pictures: Path, attributor: Attributor, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.png").write_bytes((pictures / "real" / "prompt-000.png").read_bytes())
    with pytest.raises(NothingToEvaluate, match="0 of 1"):
        judged(tmp_path, attributor)


def test_unreadable_image_is_recorded(strangers: Path, attributor: Attributor, tmp_path: Path) -> None:
    (tmp_path / "real").symlink_to(strangers / "real")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "empty.png").write_bytes(b"")
    assert judged(tmp_path, attributor)["refused"] == [{"file": "odd/empty.png", "code": "empty"}]


def test_tiers_gather_generators(strangers: Path, attributor: Attributor) -> None:
    unseen = judged(strangers, attributor, far=["gamma-3", "absent"])["open_set"]
    assert unseen["tier far"]["images"] == 25


def test_records_are_plain_json(strangers: Path, attributor: Attributor) -> None:
    figures = judged(strangers, attributor)
    record = json.loads(json.dumps(figures))["records"][0]
    assert record["predicted"] in CLASSES
    assert record["file"] == "alpha-1/prompt-000.png"


def test_random_labels_score_at_chance(strangers: Path, attributor: Attributor) -> None:
    closed = judged(strangers, attributor)["closed_set"]
    assert closed["macro_auc"]["low"] < 0.5 < closed["macro_auc"]["high"]
    assert np.isfinite(closed["ece"]["value"])
