"""Protocols: which pixels reach the model, and that they depend on nothing but the image."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leaktrace.science.images import DecodedImage, ImageHeader
from leaktrace.science.preprocessing import PROTOCOLS, Preprocessing, prepare, reencode


def picture(height: int, width: int, seed: int = 0) -> DecodedImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return DecodedImage(pixels=pixels, header=ImageHeader("PNG", width, height), sha256="0" * 64)


def find(crop: np.ndarray, pixels: np.ndarray) -> list[tuple[int, int]]:
    """Where a crop (3, h, w) of random pixels was cut from."""
    target = crop.transpose(1, 2, 0)
    windows = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], target.shape[:2])
    return [tuple(at) for at in np.argwhere((windows[..., 0, :8] == target[0, :8, 0]).all(axis=-1)).tolist()]


def test_single_crop_is_centred() -> None:
    image = picture(400, 512)
    crop = prepare(image, Preprocessing("native")).crops
    assert crop.shape == (1, 3, 256, 256)
    assert find(crop[0], image.pixels) == [(72, 128)]


@given(height=st.integers(256, 600), width=st.integers(256, 600), crops=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_native_crops_keep_grid(height: int, width: int, crops: int) -> None:
    image = picture(height, width)
    prepared = prepare(image, Preprocessing("native", crops=crops))
    corners = [find(crop, image.pixels)[0] for crop in prepared.crops]
    assert len(corners) == crops
    assert all(top % 8 == 0 and left % 8 == 0 for top, left in corners)


def test_four_crops_cover_corners() -> None:
    image = picture(512, 512)
    prepared = prepare(image, Preprocessing("native", crops=4))
    assert [find(c, image.pixels)[0] for c in prepared.crops] == [(0, 0), (0, 256), (256, 0), (256, 256)]


@pytest.mark.parametrize(
    ("height", "width", "number"),
    [(300, 300, 4), (512, 512, 4), (768, 768, 9), (1024, 1024, 16), (3000, 2000, 16)],
)
def test_large_images_give_more_crops(height: int, width: int, number: int) -> None:
    prepared = prepare(picture(height, width), Preprocessing("native", crops=4, most_crops=16))
    assert len(prepared.crops) == number


def test_crops_tile_a_large_image() -> None:
    boxes = prepare(picture(768, 1024), Preprocessing("neutral", crops=4, most_crops=16)).boxes
    corners = {(box.top, box.left) for box in boxes}
    assert corners == {(top, left) for top in (0, 256, 512) for left in (0, 256, 512, 768)}


def test_neutral_reencodes_native_crops() -> None:
    image = picture(512, 700)
    native = prepare(image, Preprocessing("native", crops=3)).crops
    neutral = prepare(image, Preprocessing("neutral", crops=3)).crops
    for before, after in zip(native, neutral, strict=True):
        file = BytesIO()
        Image.fromarray(before.transpose(1, 2, 0)).save(file, "JPEG", quality=75, subsampling=2)
        assert np.array_equal(np.asarray(Image.open(file)), after.transpose(1, 2, 0))


def test_reencoding_subsamples_chroma() -> None:
    # 4:2:0 stores one chroma sample for 2 x 2 pixels, so a one-pixel red and green chequer loses its colours.
    chequer = np.zeros((16, 16, 3), dtype=np.uint8)
    chequer[::2, ::2, 0] = chequer[1::2, 1::2, 0] = 200
    chequer[1::2, ::2, 1] = chequer[::2, 1::2, 1] = 200
    assert np.abs(np.diff(reencode(chequer, 95)[..., 0].astype(int), axis=1)).max() < 120


def test_small_images_are_extended() -> None:
    image = picture(128, 300)
    prepared = prepare(image, Preprocessing("native"))
    columns = image.pixels[:, 16:272]
    expected = np.concatenate([columns, columns[::-1]])
    assert prepared.extended
    assert np.array_equal(prepared.crops[0].transpose(1, 2, 0), expected)


def test_large_images_are_not() -> None:
    assert not prepare(picture(256, 256), Preprocessing("native")).extended


@pytest.mark.parametrize("size", [(256, 256), (257, 300), (600, 520)])
def test_scrambled_leaves_grid(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaktrace.science.preprocessing.reencode", lambda pixels, _: pixels)
    image = picture(*size)
    padded = np.pad(image.pixels, ((0, 7), (0, 7), (0, 0)), mode="symmetric")
    for crop in prepare(image, Preprocessing("scrambled", crops=6)).crops:
        top, left = find(crop, padded)[0]
        assert top % 8
        assert left % 8


@pytest.mark.parametrize("size", [(256, 256), (300, 420), (600, 520)])
def test_boxes_say_where_crops_lie(size: tuple[int, int]) -> None:
    image = picture(*size)
    prepared = prepare(image, Preprocessing("native", crops=4))
    for crop, box in zip(prepared.crops, prepared.boxes, strict=True):
        there = image.pixels[box.top : box.top + box.height, box.left : box.left + box.width]
        assert np.array_equal(crop.transpose(1, 2, 0), there)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_boxes_stay_within_image(protocol: str) -> None:
    for box in prepare(picture(140, 300), Preprocessing(protocol, crops=3)).boxes:
        assert box.left >= 0
        assert box.top >= 0
        assert box.left + box.width <= 300
        assert box.top + box.height <= 140


def test_scrambled_quality_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    qualities = []
    monkeypatch.setattr(
        "leaktrace.science.preprocessing.reencode",
        lambda pixels, quality: (qualities.append(quality), pixels)[1],
    )
    prepare(picture(300, 300), Preprocessing("scrambled", crops=300))
    assert (min(qualities), max(qualities)) == (60, 95)


def test_scrambled_depends_on_content() -> None:
    one, other = (prepare(picture(300, 300, seed), Preprocessing("scrambled")) for seed in (1, 2))
    assert one.content_hash != other.content_hash


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_same_pixels_same_crops(protocol: str) -> None:
    preprocessing = Preprocessing(protocol, crops=2)
    one, again = (prepare(picture(300, 420), preprocessing) for _ in range(2))
    assert np.array_equal(one.crops, again.crops)
    assert one.content_hash == again.content_hash


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_crops_are_what_is_hashed(protocol: str) -> None:
    prepared = prepare(picture(300, 420), Preprocessing(protocol))
    assert len(prepared.content_hash) == 32
    assert prepared.crops.flags.c_contiguous
    assert prepared.crops.dtype == np.uint8


def test_paper_resizes_shorter_side() -> None:
    image = picture(512, 768)
    resized = Image.fromarray(image.pixels).resize((384, 256), Image.Resampling.BILINEAR)
    crop = prepare(image, Preprocessing("paper")).crops[0].transpose(1, 2, 0)
    assert np.array_equal(crop, np.asarray(resized)[:, 64:320])


def test_hash_tells_protocols_apart() -> None:
    hashes = {Preprocessing(protocol, crops=n).hash() for protocol in PROTOCOLS for n in (1, 2)}
    assert len(hashes) == 2 * len(PROTOCOLS)


@pytest.mark.parametrize(
    ("field", "value"), [("protocol", "plain"), ("crop_px", 250), ("crops", 0), ("jpeg_quality", 96)]
)
def test_wrong_settings_name_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=str(value)):
        Preprocessing(**{field: value})
