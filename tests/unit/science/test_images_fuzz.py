"""Fuzzing: any bytes give a DecodedImage or an ImageRefused, and a giant canvas is refused before it is allocated."""

import struct
import subprocess
import sys
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import from_pillow

from leaktrace.science.images import DecodeLimits, ImageRefused, TooManyPixels, decode, read_header

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF")
MAGIC = (
    b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00", b"MM\x00*", b"II+\x00",
    b"RIFF\x20\x00\x00\x00WEBP", b"\x00\x00\x00\x18ftypavif", b"\x00\x00\x00\x18ftypheic",
)  # fmt: skip
GIANT = 40_000
# Odd metadata is allowed to warn in Pillow; the library itself filters that, and pytest hides its filter.
pytestmark = pytest.mark.filterwarnings("ignore")


@cache
def valid(image_format: str) -> bytes:
    y, x = np.mgrid[0:130, 0:140]
    pixels = np.stack([x, y, (x * y) % 251], axis=-1).astype(np.uint8)
    file = BytesIO()
    image = Image.fromarray(pixels)
    if image_format == "HEIF":
        from_pillow(image).save(file)
    else:
        options = {"compression": "tiff_lzw"} if image_format == "TIFF" else {}
        image.save(file, image_format, **options)
    return file.getvalue()


def outcome(data: bytes) -> str:
    """Decode, and fail the test by any exception other than a refusal."""
    try:
        decoded = decode(data, limits=DecodeLimits(max_pixels=1_000_000))
    except ImageRefused as refusal:
        return refusal.code
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape == (decoded.header.height, decoded.header.width, 3)
    return "decoded"


@given(start=st.sampled_from(MAGIC), rest=st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_answered(start: bytes, rest: bytes) -> None:
    assert outcome(start + rest) in {"empty", "unsupported_format", "truncated", "corrupt", "too_small",
                                     "too_many_pixels", "animated", "decoded"}  # fmt: skip


@given(
    image_format=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    header_only=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_mutation_is_answered(
    image_format: str, flips: list[tuple[float, int]], *, header_only: bool
) -> None:
    data = bytearray(valid(image_format))
    reach = min(len(data), 300) if header_only else len(data)
    for place, value in flips:
        data[int(place * reach)] = value
    assert outcome(bytes(data))


@given(image_format=st.sampled_from(FORMATS), kept=st.floats(0.01, 0.98))
@settings(max_examples=100, deadline=None)
def test_any_cut_is_refused(image_format: str, kept: float) -> None:
    data = valid(image_format)
    assert outcome(data[: int(len(data) * kept)]) in {"truncated", "unsupported_format", "empty"}


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_cut_between_boxes_is_refused(image_format: str) -> None:
    data = valid(image_format)
    assert outcome(data[: data.index(b"mdat") - 4]) == "truncated"


@given(image_format=st.sampled_from(FORMATS), tail=st.binary(min_size=1, max_size=64))
@settings(max_examples=60, deadline=None)
def test_trailing_bytes_are_answered(image_format: str, tail: bytes) -> None:
    assert outcome(valid(image_format) + tail)


def giant(image_format: str) -> bytes:
    """A small valid file whose header is changed to declare 40,000 pixels a side (16,383 in WebP, its most)."""
    data = bytearray(valid(image_format))
    if image_format == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", GIANT, GIANT)
    elif image_format == "PNG":
        data[16:24] = struct.pack(">II", GIANT, GIANT)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif image_format == "GIF":
        data[6:10] = struct.pack("<HH", GIANT, GIANT)
    elif image_format == "WEBP":
        at = data.index(b"VP8 ") + 14
        data[at : at + 4] = struct.pack("<HH", 16_383, 16_383)
    elif image_format == "TIFF":
        directory = struct.unpack_from("<I", data, 4)[0]
        for entry in range(directory + 2, len(data) - 11, 12):
            if struct.unpack_from("<H", data, entry)[0] in (256, 257):
                struct.pack_into("<HII", data, entry + 2, 4, 1, GIANT)
    else:
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", GIANT, GIANT)
    return bytes(data)


@pytest.mark.parametrize("image_format", FORMATS)
def test_giant_canvas_is_refused(image_format: str) -> None:
    with pytest.raises(TooManyPixels) as refused:
        read_header(giant(image_format))
    assert refused.value.facts["width"] >= 16_383


def test_refusal_allocates_nothing(tmp_path: Path) -> None:
    """All seven in one process of their own, whose peak memory is then compared with that of an idle one."""
    paths = []
    for image_format in FORMATS:
        paths.append(tmp_path / image_format)
        paths[-1].write_bytes(giant(image_format))
    idle, busy = peak_memory_mb([]), peak_memory_mb([str(path) for path in paths])
    assert busy < idle + 40


def peak_memory_mb(paths: list[str]) -> float:
    code = (
        "import sys, resource, pathlib\n"
        "from leaktrace.science.images import decode, ImageRefused\n"
        "for path in sys.argv[1:]:\n"
        "    try: decode(pathlib.Path(path).read_bytes())\n"
        "    except ImageRefused as refusal: assert refusal.code == 'too_many_pixels'\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    return int(run.stdout) / 1024
