"""The perceptual hash: stable under saving again, different for different pictures."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from leaktrace.science.fingerprint import NEAR_BITS, hash_distances, perceptual_hash

SIDE = 256


def picture(seed: int) -> NDArray[np.uint8]:
    """A smooth colour picture (side, side, 3)."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3))
    smooth = gaussian_filter(noise, (12, 12, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def crops(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels.transpose(2, 0, 1)[None]


def saved_again(pixels: NDArray[np.uint8], *, quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_saving_again_stays_near(quality: int) -> None:
    for seed in range(20):
        original = perceptual_hash(crops(picture(seed)))
        again = perceptual_hash(crops(saved_again(picture(seed), quality=quality)))
        assert hash_distances([original], again)[0] <= NEAR_BITS


def test_other_pictures_are_far() -> None:
    hashes = [perceptual_hash(crops(picture(seed))) for seed in range(60)]
    nearest = min(hash_distances(hashes[:i], hashes[i]).min() for i in range(1, 60))
    assert nearest > NEAR_BITS


def test_distance_counts_bits() -> None:
    assert hash_distances([0, -1, 5], 1).tolist() == [1, 63, 1]


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 100, 100\)"):
        perceptual_hash(np.zeros((1, 3, 100, 100), np.uint8))
