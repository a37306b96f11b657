"""The rarer variants of each format, each against numbers worked out by hand."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms
from pillow_heif import HeifFile, from_pillow, open_heif

from leaktrace.science.images import (
    AnimatedImage,
    DecodeLimits,
    TooManyPixels,
    UnsupportedFormat,
    decode,
    read_header,
)


def corner_marked(width: int = 160, height: int = 128) -> Image.Image:
    """Black, with a white square in the top left corner."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (0, 0, 40, 40))
    return image


def bright_corner(pixels: np.ndarray) -> str:
    rows = "top" if pixels[:20].mean() > pixels[-20:].mean() else "bottom"
    columns = "left" if pixels[:, :20].mean() > pixels[:, -20:].mean() else "right"
    return f"{rows} {columns}"


def with_orientation(image_format: str, orientation: int) -> bytes:
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    if image_format == "HEIF":
        from_pillow(corner_marked()).save(file, exif=exif.tobytes())
    else:
        corner_marked().save(file, image_format, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["JPEG", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, "top left"), (2, "top right"), (3, "bottom right"), (4, "bottom left"),
     (5, "top left"), (6, "top right"), (7, "bottom right"), (8, "bottom left")],
)  # fmt: skip
def test_lossy_orientation_is_applied(image_format: str, orientation: int, corner: str) -> None:
    data = with_orientation(image_format, orientation)
    pixels = decode(data).pixels
    assert bright_corner(pixels) == corner
    assert pixels.shape[:2] == ((128, 160) if orientation < 5 else (160, 128))
    assert (read_header(data).height, read_header(data).width) == pixels.shape[:2]


def test_heic_rotation_is_applied_once() -> None:
    # The container's own rotation is authoritative: libheif applies it, and EXIF must not turn the image again.
    data = with_orientation("HEIF", 6)
    pixels = decode(data).pixels
    assert pixels.shape[:2] == (read_header(data).height, read_header(data).width)
    assert bright_corner(pixels) == bright_corner(np.asarray(plainly_opened(data)))


def plainly_opened(data: bytes) -> Image.Image:
    return open_heif(BytesIO(data)).to_pillow()


def test_heic_gives_primary_picture() -> None:
    file, collection = BytesIO(), HeifFile()
    for image in (corner_marked(200, 160), corner_marked()):
        collection.add_from_pillow(image)
    collection.save(file, primary_index=1)
    assert decode(file.getvalue()).pixels.shape == (128, 160, 3)


def test_mpo_gives_first_picture() -> None:
    file = BytesIO()
    corner_marked().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (160, 128), (9, 9, 9))])
    decoded = decode(file.getvalue())
    assert decoded.header.format == "JPEG"
    assert bright_corner(decoded.pixels) == "top left"


def test_progressive_jpeg_is_decoded() -> None:
    file = BytesIO()
    corner_marked().save(file, "JPEG", progressive=True)
    assert np.array_equal(decode(file.getvalue()).pixels, np.asarray(Image.open(file)))


def test_ycck_jpeg_by_hand() -> None:
    # Adobe files store inverted CMYK; the marker's last byte, 2, says that the first three are luma and chroma.
    # Stored 150, 128, 228, 255 are R, G, B = 150 + 1.402 * 100 (clipped), 150 - 0.714 * 100, 150; CMY is that
    # complement stored inverted, so the ink is 255, 79, 150 with no black, and the colour its complement.
    file = BytesIO()
    Image.new("CMYK", (128, 128), (105, 127, 27, 0)).save(file, "JPEG", quality=100)
    data = bytearray(file.getvalue())
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    assert np.abs(decode(bytes(data)).pixels[64, 64].astype(int) - [0, 176, 105]).max() <= 2


def tiff(samples: np.ndarray, *, photometric: int, bits: int, tile: int = 0) -> bytes:
    """A little-endian baseline TIFF with one uncompressed strip, or one tile of a stated size."""
    height, width, channels = samples.shape
    body = samples.tobytes()
    entries = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, photometric), (277, 3, channels)]
    bit_field = bits if channels == 1 else 8
    entries.append((258, 3, bit_field))
    extents = [(322, 4, tile), (323, 4, tile), (324, 4, 0), (325, 4, len(body))]
    entries += extents if tile else [(273, 4, 0), (278, 4, height), (279, 4, len(body))]
    directory = 8 + 2 * channels
    start = directory + 2 + 12 * len(entries) + 4
    out = struct.pack("<2sHI", b"II", 42, directory) + struct.pack(f"<{channels}H", *[bits] * channels)
    out += struct.pack("<H", len(entries))
    for tag, kind, value in sorted(entries):
        count = channels if tag == 258 else 1
        stored = start if tag in (273, 324) else value
        out += struct.pack("<HHII", tag, kind, count, stored)
    return out + struct.pack("<I", 0) + body


def test_sixteen_bit_colour_tiff_by_hand() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (128, 130, 3), dtype=np.uint16)
    assert np.array_equal(decode(tiff(samples, photometric=2, bits=16)).pixels, samples >> 8)


def test_inverted_grey_tiff_by_hand() -> None:
    # Photometric 0 means that zero is white.
    samples = np.arange(128 * 128, dtype=np.uint32).reshape(128, 128, 1).astype(np.uint8)
    pixels = decode(tiff(samples, photometric=0, bits=8)).pixels
    assert np.array_equal(pixels, np.repeat(255 - samples, 3, axis=2))


def test_giant_tile_is_refused() -> None:
    data = tiff(np.zeros((128, 128, 1), dtype=np.uint8), photometric=1, bits=8, tile=60_000)
    with pytest.raises(TooManyPixels):
        decode(data)


def test_grey_sixteen_bit_key_is_transparent() -> None:
    file = BytesIO()
    samples = np.full((128, 128), 0x1234, dtype=np.uint16)
    samples[:64] = 0x1235
    Image.fromarray(samples).save(file, "PNG", transparency=0x1234)
    pixels = decode(file.getvalue()).pixels
    assert (pixels[0, 0, 0], pixels[127, 0, 0]) == (0x12, 255)


def test_display_p3_is_converted() -> None:
    # Display P3 (200, 100, 50) is sRGB (215, 93, 31) by the published matrices and the shared transfer curve.
    file = BytesIO()
    Image.new("RGB", (128, 128), (200, 100, 50)).save(file, "PNG", icc_profile=display_p3_profile())
    assert np.abs(decode(file.getvalue()).pixels[0, 0].astype(int) - p3_to_srgb((200, 100, 50))).max() <= 1


def p3_to_srgb(colour: tuple[int, int, int]) -> np.ndarray:
    """By the matrices of the two standards, both with D65 white and the sRGB transfer curve."""
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    matrix = [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]
    srgb = np.clip(np.array(matrix) @ linear, 0, 1)
    coded = np.where(srgb <= 0.0031308, srgb * 12.92, 1.055 * srgb ** (1 / 2.4) - 0.055)
    return np.round(coded * 255).astype(int)


def display_p3_profile() -> bytes:
    """The sRGB profile that LittleCMS makes, with its colorants replaced by those of Display P3 (D50)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in colorants:
            fixed = [round(value * 65536) for value in colorants[name]]
            struct.pack_into(">3i", profile, offset + 8, *fixed)
    return bytes(profile)


def test_lab_tiff_is_refused() -> None:
    file = BytesIO()
    Image.new("LAB", (128, 128)).save(file, "TIFF")
    with pytest.raises(UnsupportedFormat, match="LAB"):
        decode(file.getvalue())


def test_single_frame_apng_is_still() -> None:
    file = BytesIO()
    corner_marked().save(file, "PNG", save_all=True)
    assert bright_corner(decode(file.getvalue()).pixels) == "top left"


def test_animation_is_seen_in_header() -> None:
    file = BytesIO()
    corner_marked().save(
        file, "GIF", save_all=True, append_images=[Image.new("RGB", (160, 128), (200, 0, 0))]
    )
    with pytest.raises(AnimatedImage):
        read_header(file.getvalue())


def test_size_limits_are_inclusive() -> None:
    file = BytesIO()
    Image.new("RGB", (160, 128)).save(file, "PNG")
    exact = DecodeLimits(max_bytes=len(file.getvalue()), max_pixels=160 * 128, min_side_px=128)
    assert decode(file.getvalue(), limits=exact).header.width == 160
