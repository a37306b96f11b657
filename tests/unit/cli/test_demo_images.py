"""Which images the demo takes when none are named."""

from pathlib import Path

import pytest

from leaktrace.cli.demo_images import (
    IMAGES_PER_GENERATOR,
    NoDemoImages,
    choose_images,
    describe_images,
    expect_images,
)
from leaktrace.cli.summary import folder_of


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder with a manifest: 30 held-out images of each of two generators, and some that were trained on."""
    lines = ["file,generator,role,split"]
    for generator, split in [("known", "test"), ("known", "train"), ("strange", "open")]:
        for place in range(30):
            name = f"{split}/{generator}/{place}.png"
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
            lines.append(f"{name},{generator},closed,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return tmp_path


def names(images: Path | None, shared: Path) -> list[str]:
    return [file.custom_id for file in choose_images(images, shared=shared)]


def test_sample_covers_generators_evenly(shared: Path) -> None:
    folders = [folder_of(name) for name in names(None, shared)]
    assert folders == ["known"] * IMAGES_PER_GENERATOR + ["strange"] * IMAGES_PER_GENERATOR


def test_sample_holds_no_training_image(shared: Path) -> None:
    assert not [name for name in names(None, shared) if name.startswith("train/")]


def test_sample_is_always_the_same(shared: Path) -> None:
    assert names(None, shared) == names(None, shared)


def test_packages_serve_without_shared_images(tmp_path: Path) -> None:
    assert "scikit-learn/china.jpg" in names(None, tmp_path / "none")


def test_packages_are_named(tmp_path: Path) -> None:
    assert "scikit-learn" in describe_images(None, shared=tmp_path / "none")


def test_named_folder_wins(shared: Path) -> None:
    (shared / "own").mkdir()
    (shared / "own" / "x.png").write_bytes(b"x")
    assert names(shared / "own", shared) == ["x.png"]


def test_sample_is_counted(shared: Path) -> None:
    assert expect_images(None, shared=shared) == 2 * IMAGES_PER_GENERATOR


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoDemoImages, match="there is no image in"):
        expect_images(tmp_path)
