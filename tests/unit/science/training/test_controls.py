"""A control sees what it is meant to see, and nothing else."""

from pathlib import Path

import numpy as np
from PIL import Image

from leaktrace.science.training.answers import Answers, Truths
from leaktrace.science.training.controls import control_answers
from leaktrace.science.training.dataset import read_dataset
from leaktrace.science.training.figures import figures_of
from leaktrace.science.training.survey import Surveyed, survey


def written(root: Path, *, tints: dict[str, int], sides: dict[str, int], count: int = 12) -> list[Surveyed]:
    """Pictures of 8 x 8 patches whose generators differ in tint or in size alone."""
    random = np.random.default_rng(0)
    for name, tint in tints.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            patches = random.integers(0, 100, (8, 8, 3)) + np.array([tint, 0, 0])
            picture = Image.fromarray(patches.astype(np.uint8))
            picture.resize((sides[name],) * 2, Image.Resampling.NEAREST).save(root / name / f"{index}.png")
    return survey(read_dataset(root).samples)


def top1(surveyed: list[Surveyed], control: str, fitted: list[Surveyed]) -> float:
    truths = Truths.of([one.sample for one in surveyed], [(128, 128)] * len(surveyed))
    found = control_answers(control, surveyed, truths=truths, fitted=fitted, classes=("a", "b"))
    assert isinstance(found, Answers)
    return float(figures_of(found, tiers={})["closed_set"]["top1"]["value"])


def test_colours_tell_tints(tmp_path: Path) -> None:
    images = written(tmp_path, tints={"a": 0, "b": 60}, sides={"a": 128, "b": 128})
    assert top1(images, "colours", []) == 1


def test_metadata_tells_sizes(tmp_path: Path) -> None:
    images = written(tmp_path, tints={"a": 0, "b": 0}, sides={"a": 128, "b": 160})
    assert top1(images, "metadata", []) == 1


def test_colours_are_blind_to_size(tmp_path: Path) -> None:
    images = written(tmp_path, tints={"a": 0, "b": 0}, sides={"a": 128, "b": 160}, count=30)
    assert top1(images, "colours", []) < 0.75


def test_fitted_images_teach_the_control(tmp_path: Path) -> None:
    first = written(tmp_path / "fit", tints={"a": 0, "b": 60}, sides={"a": 128, "b": 128})
    second = written(tmp_path / "judge", tints={"a": 60, "b": 0}, sides={"a": 128, "b": 128})
    assert top1(second, "colours", first) == 0


def test_one_class_teaches_nothing(tmp_path: Path) -> None:
    images = written(tmp_path, tints={"a": 0}, sides={"a": 128})
    truths = Truths.of([one.sample for one in images], [(128, 128)] * len(images))
    assert control_answers("colours", images, truths=truths, fitted=[], classes=("a", "b")) is None
