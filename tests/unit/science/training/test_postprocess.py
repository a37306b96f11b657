"""Every operator repeats itself, changes pixels, and leaves an image that can still be attributed."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leaktrace.science.training.postprocess import ATTACKS, SMALLEST_SIDE_PX, apply
from leaktrace.science.training.robustness import CONDITIONS, Condition

PIXELS = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)).filter(
        ImageFilter.GaussianBlur(1)
    )
)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: f"{c.operator} {c.level}")
def test_operator_repeats_itself(condition: Condition) -> None:
    first, second = (apply(PIXELS, condition.operator, level=condition.level) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "chain"])
def test_operator_changes_the_image(name: str) -> None:
    for level in ATTACKS[name].levels:
        changed = apply(PIXELS, name, level=level)
        assert changed.shape != PIXELS.shape or (changed != PIXELS).any()


@pytest.mark.parametrize("name", ATTACKS)
def test_result_can_be_attributed(name: str) -> None:
    for level in ATTACKS[name].levels:
        changed = apply(PIXELS, name, level=level)
        assert changed.dtype == np.uint8
        assert changed.ndim == 3
        assert min(changed.shape[:2]) >= SMALLEST_SIDE_PX


def test_images_draw_differently() -> None:
    shifted = np.roll(PIXELS, 1, axis=1)
    sizes = {apply(pixels, "chain", level=3).tobytes() for pixels in (PIXELS, shifted)}
    assert len(sizes) == 2


def test_stronger_jpeg_changes_more() -> None:
    losses = [
        np.abs(apply(PIXELS, "jpeg", level=level).astype(int) - PIXELS).mean()
        for level in ATTACKS["jpeg"].levels
    ]
    assert losses == sorted(losses)


def test_rotation_leaves_no_border() -> None:
    white = np.full((200, 300, 3), 255, dtype=np.uint8)
    assert apply(white, "rotate", level=15).min() == 255


def test_greyscale_has_one_value() -> None:
    grey = apply(PIXELS, "greyscale", level=1.0)
    assert (grey[..., 0] == grey[..., 1]).all()


def test_unknown_operator_is_named() -> None:
    with pytest.raises(ValueError, match="'melt' is none of the 13"):
        apply(PIXELS, "melt", level=1)
