"""`leaktrace evaluate` and `leaktrace compare` from the command line, on a model that was trained from noise."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leaktrace.cli import app
from tests.unit.science.conftest import CLASSES, SMALL_RECIPE, write_manifest, write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root, generators=CLASSES, count=16)
    write_manifest(root, generators=CLASSES, count=16, train=8, val=4)
    return root


@pytest.fixture(scope="module")
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from leaktrace.science.training.dataset import read_dataset
    from leaktrace.science.training.train import train_model

    out = tmp_path_factory.mktemp("models") / "small"
    train_model(read_dataset(pictures), out, recipe=SMALL_RECIPE, report=lambda *_: None)
    return out


@pytest.fixture(scope="module")
def run_file(pictures: Path, folder: Path) -> Path:
    path = folder.parent / "run.json"
    call = ["evaluate", str(pictures), "--model", str(folder), "--json", str(path), "--threads", "1"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    return path


def test_json_has_every_image(run_file: Path) -> None:
    run = json.loads(run_file.read_text(encoding="utf-8"))
    assert len(run["records"]) == run["images"] == 12
    assert set(run["records"][0]["probabilities"]) == set(CLASSES)


def test_several_models_give_spread(pictures: Path, folder: Path, tmp_path: Path) -> None:
    call = [
        "evaluate",
        str(pictures),
        "--model",
        str(folder),
        "--model",
        str(folder),
        "--protocol",
        "scrambled",
    ]
    result = CliRunner().invoke(app, [*call, "--json", str(tmp_path / "runs.json")])
    assert "over 2 models" in result.output
    runs = json.loads((tmp_path / "runs.json").read_text(encoding="utf-8"))
    assert runs["over_models"]["closed_set / top1"]["spread"] == 0


def test_comparison_names_both_models(run_file: Path, tmp_path: Path) -> None:
    call = ["compare", str(run_file), str(run_file), "--json", str(tmp_path / "c.json")]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert "McNemar" in result.output
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["images"] == 12


def test_bad_tier_is_wrong_usage(pictures: Path) -> None:
    assert CliRunner().invoke(app, ["evaluate", str(pictures), "--tier", "near"]).exit_code == 2


def test_foreign_file_gets_advice(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "x.json"), str(tmp_path / "x.json")])
    assert result.exit_code == 1
    assert "leaktrace evaluate --json" in result.output
