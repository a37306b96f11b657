"""A perceptual hash finds re-encoded and resized copies across the splits and leaves other pictures alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leaktrace.science.training.dataset import Sample
from leaktrace.science.training.near_duplicates import near_duplicates
from leaktrace.science.training.survey import Surveyed, colour_features, perceptual_hash, survey


def picture(seed: int) -> Image.Image:
    """A smooth picture of its own: noise, blurred until it has shapes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(12))
    stretched = np.asarray(blurred).astype(float)
    stretched = (stretched - stretched.min()) / np.ptp(stretched) * 255
    return Image.fromarray(stretched.astype(np.uint8))


def surveyed(root: Path, **pictures: Image.Image) -> list[Surveyed]:
    samples = []
    for name, image in pictures.items():
        path = root / f"{name}.png"
        image.save(path)
        samples.append(Sample(path, path.name, "a", "test", name))
    return survey(samples)


def test_resized_copy_is_found(tmp_path: Path) -> None:
    judged = surveyed(tmp_path, copy=picture(1).resize((300, 240)), other=picture(2))
    pairs = near_duplicates(judged, surveyed(tmp_path, original=picture(1), another=picture(3)))
    assert [(pair.judged, pair.fitted) for pair in pairs] == [("copy.png", "original.png")]


def test_reencoded_copy_is_found(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "copy.jpg", quality=40)
    judged = survey([Sample(tmp_path / "copy.jpg", "copy.jpg", "a", "test", "0")])
    assert len(near_duplicates(judged, surveyed(tmp_path, original=picture(1)))) == 1


def test_unrelated_pictures_are_far(tmp_path: Path) -> None:
    many = surveyed(tmp_path, **{f"p{index}": picture(index) for index in range(20)})
    assert near_duplicates(many[:10], many[10:]) == []


def test_unreadable_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    samples = [Sample(tmp_path / name, name, "a", "test", "0") for name in ("bad.png", "absent.png")]
    found = survey(samples)
    assert [one.header for one in found] == [None, None]
    assert near_duplicates(found, found) == []


def test_hash_needs_its_size() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        perceptual_hash(np.zeros((8, 8), dtype=np.uint8))


def test_colours_ignore_arrangement() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    shuffled = np.random.default_rng(1).permutation(pixels.reshape(-1, 3)).reshape(pixels.shape)
    assert colour_features(pixels) == pytest.approx(colour_features(shuffled))
