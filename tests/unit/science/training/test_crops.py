"""Training crops come from their seed alone, lie on the grid, and leave no thread behind."""

import threading

import numpy as np
import pytest
import torch

from leaktrace.science.preprocessing import reencode
from leaktrace.science.training.crops import CropPlan, crop_batches, draw_crop, draw_views, to_tensor


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def test_neutral_crop_lies_on_grid(picture: np.ndarray) -> None:
    plan = CropPlan(side_px=64, mirrored=0.0)
    crop = draw_crop(picture, plan, generator=np.random.default_rng(1))
    candidates = [
        reencode(picture[top : top + 64, left : left + 64], 75)
        for top in range(0, 33, 8)
        for left in range(0, 65, 8)
    ]
    assert sum(np.array_equal(crop, candidate) for candidate in candidates) == 1


def test_short_sides_are_extended() -> None:
    crop = draw_crop(
        np.zeros((40, 80, 3), np.uint8), CropPlan(side_px=64), generator=np.random.default_rng(0)
    )
    assert crop.shape == (64, 64, 3)


def test_epochs_repeat_from_their_seed(picture: np.ndarray) -> None:
    plan = CropPlan(side_px=32, scrambled=0.5)
    first, second, other = (
        [crops for crops, _ in crop_batches([picture] * 4, plan, batch=4, crops_per_image=2, seed=seed)]
        for seed in (7, 7, 8)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])


def test_every_image_comes_equally_often(picture: np.ndarray) -> None:
    batches = crop_batches([picture] * 6, CropPlan(side_px=32), batch=4, crops_per_image=2, seed=0)
    counts = np.bincount(torch.cat([chosen for _, chosen in batches]).numpy())
    assert counts.tolist() == [2] * 6


def test_views_of_an_image_stand_together() -> None:
    flat = [np.full((64, 64, 3), 20 * index, np.uint8) for index in range(6)]
    plan = CropPlan(side_px=32, views=2)
    batches = list(crop_batches(flat, plan, batch=4, crops_per_image=4, seed=0))
    assert len(batches) == 6
    for crops, chosen in batches:
        levels = ((crops.mean(dim=(1, 2, 3)) + 1) * 127.5).view(2, 2)
        torch.testing.assert_close(levels, 20.0 * chosen[:, None].expand(2, 2), atol=1.5, rtol=0)


def test_processed_views_are_whole(picture: np.ndarray) -> None:
    plan = CropPlan(side_px=32, processed=1.0, scrambled=0.5, views=3)
    generator = np.random.default_rng(0)
    shapes = {draw_views(picture, plan, generator=generator).shape for _ in range(40)}
    assert shapes == {(3, 32, 32, 3)}


def test_stopping_early_ends_the_thread(picture: np.ndarray) -> None:
    batches = crop_batches([picture] * 64, CropPlan(side_px=32), batch=2, crops_per_image=4, seed=0)
    next(iter(batches))
    batches.close()  # type: ignore[attr-defined]
    assert "crops" not in {thread.name for thread in threading.enumerate()}


def test_broken_image_is_raised_not_hung() -> None:
    flat = np.zeros((64, 64), np.uint8)
    with pytest.raises(ValueError, match="broadcast"):
        list(crop_batches([flat] * 4, CropPlan(side_px=96), batch=2, crops_per_image=1, seed=0))


def test_pixels_map_to_one() -> None:
    pixels = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2)
    assert to_tensor(pixels).flatten().tolist() == [-1.0, 1.0]
