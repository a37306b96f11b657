"""Decoding: what is accepted comes out right, what is not is refused by name before it can do harm."""

import hashlib
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms
from pillow_heif import from_pillow

from leaktrace.science.images import (
    AnimatedImage,
    CorruptFile,
    DecodeLimits,
    EmptyFile,
    ImageRefused,
    TooManyBytes,
    TooManyPixels,
    TooSmall,
    TruncatedFile,
    UnsupportedFormat,
    decode,
    read_header,
)

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF")
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}


def scene(width: int = 200, height: int = 160) -> Image.Image:
    """A smooth picture with no symmetry, so that a turn or a swapped channel shows."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 17 + y / 29)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = BytesIO()
    if image_format == "HEIF":
        from_pillow(image).save(file, **options)
    else:
        image.save(file, image_format, **options)
    return file.getvalue()


def png(header: bytes, rows: bytes, *, extra: bytes = b"") -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def sixteen_bit_png(samples: np.ndarray, colour_type: int) -> bytes:
    height, width = samples.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    return png(struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0), zlib.compress(rows))


def refusal(data: bytes, **limits: int) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        decode(data, limits=DecodeLimits(**limits))
    return caught.value


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_decoded(image_format: str) -> None:
    decoded = decode(saved(scene(), image_format))
    difference = np.abs(decoded.pixels.astype(int) - np.asarray(scene(), dtype=int)).mean()
    assert decoded.header.format == image_format
    assert decoded.pixels.shape == (160, 200, 3)
    assert difference < 8


@pytest.mark.parametrize("image_format", LOSSLESS)
def test_lossless_pixels_are_exact(image_format: str) -> None:
    decoded = decode(saved(scene(), image_format, **LOSSLESS[image_format]))
    assert np.array_equal(decoded.pixels, np.asarray(scene()))


@pytest.mark.parametrize("image_format", FORMATS)
def test_header_needs_no_pixels(image_format: str) -> None:
    header = read_header(saved(scene(), image_format))
    assert (header.format, header.width, header.height) == (image_format, 200, 160)


def test_jpeg_equals_plain_decode() -> None:
    data = saved(scene(), "JPEG", quality=75)
    assert np.array_equal(decode(data).pixels, np.asarray(Image.open(BytesIO(data))))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(image_format: str, orientation: int) -> None:
    # Stored[y, x] is the pixel that a viewer shows at the place the EXIF standard gives for each orientation.
    stored = np.asarray(scene())
    shown = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.swapaxes(0, 1), 6: np.rot90(stored, -1), 7: stored[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(stored, 1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(scene(), image_format, exif=exif, **LOSSLESS[image_format])
    assert np.array_equal(decode(data).pixels, shown)
    assert (read_header(data).height, read_header(data).width) == shown.shape[:2]


# The library's own filter for Pillow's warnings, which pytest's stricter one hides.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_is_ignored() -> None:
    data = saved(scene(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00")
    assert decode(data).pixels.shape == (160, 200, 3)


def test_endless_exif_is_refused() -> None:
    jpeg = saved(scene(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 18) + b"Exif\x00\x00" + bytes(10)
    assert isinstance(refusal(jpeg[:2] + segment * 100_000 + jpeg[2:]), CorruptFile)


def test_alpha_is_laid_on_white() -> None:
    image = Image.new("RGBA", (128, 128), (100, 50, 0, 0))
    image.paste((100, 50, 0, 51), (0, 0, 64, 128))
    pixels = decode(saved(image, "PNG")).pixels
    # 255 - (255 - c) * 51 / 255, one fifth of the colour over white
    assert pixels[0, 0].tolist() == [224, 214, 204]
    assert pixels[0, 127].tolist() == [255, 255, 255]


def test_opaque_alpha_changes_nothing() -> None:
    image = scene()
    image.putalpha(255)
    assert np.array_equal(decode(saved(image, "PNG")).pixels, np.asarray(scene()))


def test_palette_transparency_is_flattened() -> None:
    image = Image.new("P", (128, 128), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (0, 0, 64, 128))
    pixels = decode(saved(image, "PNG", transparency=0)).pixels
    assert pixels[0, 0].tolist() == [40, 50, 60]
    assert pixels[0, 127].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("mode", "grey"), [("1", 255), ("L", 77), ("LA", (77, 255))])
def test_grey_modes_become_equal_channels(mode: str, grey: object) -> None:
    pixels = decode(saved(Image.new(mode, (128, 128), grey), "PNG")).pixels
    assert set(pixels.ravel().tolist()) == {255 if mode == "1" else 77}


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_keep_high_byte(colour_type: int, channels: int) -> None:
    values = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128, 1)
    samples = np.repeat(values, channels, axis=2)
    if channels in (2, 4):
        samples[..., -1] = 65535
    pixels = decode(sixteen_bit_png(samples, colour_type)).pixels
    assert np.array_equal(pixels, np.repeat(values // 256, 3, axis=2))


def test_sixteen_bit_tiff_keeps_high_byte() -> None:
    samples = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128)
    pixels = decode(saved(Image.fromarray(samples), "TIFF")).pixels
    assert np.array_equal(pixels[..., 0], samples // 256)


def test_widened_eight_bits_return() -> None:
    eight = np.asarray(scene(128, 128))
    assert np.array_equal(decode(sixteen_bit_png(eight.astype(np.uint16) * 257, 2)).pixels, eight)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_unbounded_samples_are_refused(mode: str) -> None:
    assert isinstance(refusal(saved(Image.new(mode, (128, 128)), "TIFF")), UnsupportedFormat)


def test_cmyk_jpeg_keeps_colours() -> None:
    image = Image.new("CMYK", (128, 128), (255, 0, 0, 0))
    red, green, blue = decode(saved(image, "JPEG", quality=95)).pixels[64, 64].tolist()
    assert red < 10
    assert min(green, blue) > 245


def test_profile_is_converted_to_srgb() -> None:
    # Adobe-like wide gamut in miniature: LittleCMS builds the profile, and a hand-made transform gives the answer.
    swapped = swapped_primaries_profile()
    data = saved(Image.new("RGB", (128, 128), (200, 40, 40)), "PNG", icc_profile=swapped)
    red, green, blue = decode(data).pixels[0, 0].tolist()
    assert green > 150
    assert max(red, blue) < 80


def test_srgb_profile_leaves_pixels() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(saved(scene(), "PNG", icc_profile=profile)).pixels, np.asarray(scene()))


def test_broken_profile_is_ignored() -> None:
    data = saved(scene(), "PNG", icc_profile=b"not a profile")
    assert np.array_equal(decode(data).pixels, np.asarray(scene()))


def swapped_primaries_profile() -> bytes:
    """The sRGB profile with its red and green colorants exchanged: red pixels mean green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {}
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        entry = 132 + 12 * index
        at[bytes(profile[entry : entry + 4])] = entry + 4
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red : red + 8], profile[green : green + 8] = profile[green : green + 8], profile[red : red + 8]
    return bytes(profile)


def test_empty_file_is_refused() -> None:
    assert isinstance(refusal(b""), EmptyFile)


def test_too_many_bytes_are_refused() -> None:
    error = refusal(saved(scene(), "PNG"), max_bytes=100)
    assert isinstance(error, TooManyBytes)
    assert error.facts["max_bytes"] == 100


@pytest.mark.parametrize(
    "data", [b"hello", b"%PDF-1.7", b"BM" + bytes(60), b"\x00\x00\x00\x18ftypisom" + bytes(99)]
)
def test_other_formats_are_refused(data: bytes) -> None:
    assert isinstance(refusal(data), UnsupportedFormat)


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(image_format: str, kept: float) -> None:
    data = saved(scene(), image_format)
    assert isinstance(refusal(data[: int(len(data) * kept)]), TruncatedFile)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_truncated_tiff_is_refused(compression: str) -> None:
    data = saved(scene(), "TIFF", compression=compression)
    assert isinstance(refusal(data[: int(len(data) * 0.7)]), TruncatedFile)


def test_one_pixel_is_refused() -> None:
    assert isinstance(refusal(saved(Image.new("RGB", (1, 1)), "PNG")), TooSmall)


def test_giant_header_is_refused() -> None:
    data = png(struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0), zlib.compress(b""))
    error = refusal(data)
    assert isinstance(error, TooManyPixels)
    assert error.facts["width"] == 40_000


def test_bomb_is_never_decoded() -> None:
    bomb = zlib.compress(bytes(12_001 * 10_001), 9)
    data = png(struct.pack(">IIBBBBB", 12_000, 10_001, 8, 0, 0, 0, 0), bomb)
    assert isinstance(refusal(data), TooManyPixels)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_several_frames_are_refused(image_format: str) -> None:
    second = scene().transpose(Image.Transpose.ROTATE_180)
    data = saved(scene(), image_format, save_all=True, append_images=[second])
    assert isinstance(refusal(data), AnimatedImage)


def test_corrupt_png_is_refused() -> None:
    data = png(struct.pack(">IIBBBBB", 128, 128, 8, 2, 0, 0, 0), b"not deflate at all")
    assert isinstance(refusal(data), CorruptFile)


def test_threads_agree_with_one() -> None:
    files = [saved(scene(), image_format) for image_format in FORMATS] * 4
    alone = [decode(data).pixels for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = [decoded.pixels for decoded in pool.map(decode, files)]
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_file_hash_is_kept() -> None:
    data = saved(scene(), "PNG")
    assert decode(data).sha256 == hashlib.sha256(data).hexdigest()
