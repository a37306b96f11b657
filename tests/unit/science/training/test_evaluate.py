"""An evaluation treats every image alike, leaves out what it was made from, and is at chance when nothing is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leaktrace.science.attributor import Attributor
from leaktrace.science.training.dataset import read_dataset
from leaktrace.science.training.evaluate import NothingToEvaluate, Plan, evaluate
from leaktrace.science.training.postprocess import ATTACKS
from tests.unit.science.conftest import CLASSES, write_pictures


def judged(path: Path, attributor: Attributor, *, robust_images: int = 0, **tiers: tuple[str, ...]) -> dict:
    plan = Plan("neutral", tiers, robust_images)
    return evaluate(read_dataset(path), attributor, plan=plan, report=lambda *_: None)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh noise pictures under the known names and under one that no model was trained on."""
    root = tmp_path_factory.mktemp("strangers")
    write_pictures(root, generators=(*CLASSES, "gamma-3"), count=25, seed=9)
    return root


@pytest.fixture(scope="module")
def strangers_run(strangers: Path, small_folder: Path) -> dict:
    return judged(strangers, Attributor.load(small_folder, device="cpu"))


def test_manifest_judges_its_test_split(pictures: Path, attributor: Attributor) -> None:
    figures = judged(pictures, attributor)
    assert figures["closed_set"]["images"] == 12
    assert {record["known"] for record in figures["records"]} == {True}


def test_unknown_generator_is_unseen_truth(strangers_run: dict) -> None:
    known = {record["truth"]: record["known"] for record in strangers_run["records"]}
    assert known == {"alpha-1": True, "beta-2": True, "real": True, "gamma-3": False}


def test_one_distribution_is_at_chance(strangers_run: dict) -> None:
    # All pictures are the same noise; were unknown ones treated otherwise, they would stand out. Four standard errors
    # of the AUROC of 25 images against 75 are 0.27.
    assert abs(strangers_run["open_set"]["gamma-3"]["auroc"]["value"] - 0.5) < 0.27


def test_answers_ignore_the_label(
    strangers: Path, strangers_run: dict, attributor: Attributor, tmp_path: Path
) -> None:
    renamed = tmp_path / "delta-4"
    renamed.symlink_to(strangers / "real")
    (tmp_path / "real").symlink_to(strangers / "gamma-3")
    novelty = [record["novelty"] for record in strangers_run["records"] if record["truth"] == "real"]
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


def test_tiers_gather_generators(strangers: Path, attributor: Attributor, tmp_path: Path) -> None:
    (tmp_path / "real").symlink_to(strangers / "real")
    (tmp_path / "gamma-3").symlink_to(strangers / "gamma-3")
    unseen = judged(tmp_path, attributor, far=("gamma-3", "absent"))["open_set"]
    assert unseen["tier far"]["images"] == 25


def test_records_are_plain_json(strangers_run: dict) -> None:
    record = json.loads(json.dumps(strangers_run, allow_nan=False))["records"][0]
    assert record["predicted"] in CLASSES
    assert record["file"] == "alpha-1/prompt-000.png"


def test_random_labels_score_at_chance(strangers_run: dict) -> None:
    closed = strangers_run["closed_set"]
    assert abs(closed["macro_auc"]["value"] - 0.5) < 0.2
    assert np.isfinite(closed["ece"]["value"])


def test_checks_come_out_at_chance(strangers_run: dict) -> None:
    sanity = strangers_run["sanity"]
    assert sanity["label_shuffle"]["macro_auc"]["at_chance"]
    assert sanity["role_shuffle"]["auroc"]["at_chance"]
    assert sanity["random_weights"]["macro_auc"]["at_chance"]


def test_controls_stand_beside_the_score(pictures: Path, attributor: Attributor) -> None:
    controls = judged(pictures, attributor)["controls"]
    assert controls["colours"]["closed_set"]["images"] == 12
    assert controls["metadata"]["closed_set"]["images"] == 12


def test_near_duplicate_is_reported(pictures: Path, attributor: Attributor, tmp_path: Path) -> None:
    original = Image.open(pictures / "real" / "prompt-000.png")
    rows = ["file,generator,split"]
    for split, format_ in (("train", "png"), ("test", "webp")):
        (tmp_path / split).mkdir()
        original.save(tmp_path / split / f"x.{format_}")
        rows.append(f"{split}/x.{format_},real,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    found = judged(tmp_path, attributor)["near_duplicates"]
    assert [(pair["judged"], pair["fitted"]) for pair in found["pairs"]] == [("test/x.webp", "train/x.png")]
    assert found["closed_set_without"] is None


def test_missing_file_is_recorded(attributor: Attributor, strangers: Path, tmp_path: Path) -> None:
    (tmp_path / "real").symlink_to(strangers / "real")
    text = "file,generator\nreal/prompt-001.png,real\nreal/absent.png,real\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    run = judged(tmp_path, attributor)
    assert run["refused"] == [{"file": "real/absent.png", "code": "unreadable"}]
    assert run["images"] == 1


def test_robustness_has_all_curves(pictures: Path, attributor: Attributor) -> None:
    found = judged(pictures, attributor, robust_images=2)["robustness"]
    assert found["images"] == 6
    assert {name: len(curve["points"]) for name, curve in found["curves"].items()} == {
        name: len(attack.levels) for name, attack in ATTACKS.items()
    }
