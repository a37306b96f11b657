"""Untrusted bytes -> checked, upright 8-bit sRGB pixels; every refusal is a named error with a stable code.

The header is read and judged before any pixel is decoded, and the decoder is chosen by magic bytes from an
allow-list. Decoding is always full: draft mode and shrink-on-load change the high frequencies that attribution reads.
Thread-safe, and it changes nothing global in Pillow. It knows nothing of models, crops or tensors.

What is lost on purpose, the same way for every file:
- 16-bit samples keep their high byte (what Pillow itself does to colour PNG and TIFF), so grey and colour agree and
  an 8-bit image that was widened to 16 bits comes back exactly;
- transparent pixels are laid on white, the page that a person sees such an image on;
- damage inside a JPEG's entropy-coded data, where the standard has no checksum, decodes as what libjpeg makes of it;
- a profile that moves no colour by more than 2 levels is sRGB by another name, and one that cannot be used is no
  better than none: in both cases the pixels stay as they are, since a conversion rounds every one of them.
"""

import hashlib
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile
from pillow_heif import HeifImageFile

from leaktrace.errors import InvalidInput
from leaktrace.science.colours import Unrepresentable, flatten_to_srgb
from leaktrace.science.containers import (
    declared_size,
    exif_orientation,
    holds_a_track,
    is_cut_short,
    sniff_format,
)
from leaktrace.science.jpeg_quality import jpeg_quality

# Pillow warns about odd metadata that changes no pixel. catch_warnings is not thread-safe, so the filter is set once.
warnings.filterwarnings("ignore", module=r"PIL\.")

_OPENERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": HeifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow joins EXIF segments one by one: a few megabytes of tiny ones would keep it busy for minutes.
_EXIF_MARK = b"Exif\x00\x00"
_MAX_EXIF_SEGMENTS = 200
# (offsets, byte counts) of a TIFF's strips and of its tiles.
_TIFF_EXTENTS = ((273, 279), (324, 325))
_TIFF_TILE_SIZE = (322, 323)


class ImageRefused(InvalidInput):
    """One image cannot be attributed. `code` is stable; `detail` says why, in words; `facts` are its numbers."""

    code = "refused"

    def __init__(self, detail: str, **facts: int | str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class EmptyFile(ImageRefused):
    code = "empty"


class UnsupportedFormat(ImageRefused):
    code = "unsupported_format"


class TruncatedFile(ImageRefused):
    code = "truncated"


class CorruptFile(ImageRefused):
    code = "corrupt"


class TooManyBytes(ImageRefused):
    code = "too_many_bytes"


class TooManyPixels(ImageRefused):
    code = "too_many_pixels"


class TooSmall(ImageRefused):
    code = "too_small"


class AnimatedImage(ImageRefused):
    code = "animated"


@dataclass(frozen=True)
class DecodeLimits:
    """What is decoded at all; memory peaks at about 16 bytes a pixel, with alpha, profile and turn."""

    max_bytes: int = 64_000_000
    max_pixels: int = 120_000_000
    min_side_px: int = 128


@dataclass(frozen=True)
class ImageHeader:
    """Format by magic bytes; width and height in pixels, as seen upright; of a JPEG also the quality, 1 to 100."""

    format: str
    width: int
    height: int
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class DecodedImage:
    """Pixels (H, W, 3) uint8, sRGB, upright; `sha256` is that of the file's bytes, in hexadecimal."""

    pixels: NDArray[np.uint8]
    header: ImageHeader
    sha256: str


Show = Callable[[DecodedImage], None]  # gives somebody an image to look at
DEFAULT_LIMITS = DecodeLimits()


def read_header(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> ImageHeader:
    """Read format and size of a whole file without decoding a pixel; raises every ImageRefused it can see."""
    image_format = _checked_format(data, limits)
    with _refusals(data, image_format):
        return _header(_opened(data, image_format, limits=limits), image_format)


def decode(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> DecodedImage:
    """Decode a whole file in full. Raises ImageRefused, and nothing else short of running out of memory."""
    image_format = _checked_format(data, limits)
    with _refusals(data, image_format):
        image = _opened(data, image_format, limits=limits)
        image.load()
        _check_size(image.size, limits)
        upright = _turned(flatten_to_srgb(image), _orientation(image))
        pixels = np.ascontiguousarray(np.asarray(upright, dtype=np.uint8))
    height, width = pixels.shape[:2]
    header = ImageHeader(image_format, width, height, jpeg_quality=_jpeg_quality(image))
    return DecodedImage(pixels=pixels, header=header, sha256=hashlib.sha256(data).hexdigest())


def _checked_format(data: bytes, limits: DecodeLimits) -> str:
    if not data:
        raise EmptyFile("The file has no bytes; send it again.")
    if len(data) > limits.max_bytes:
        detail = f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted."
        raise TooManyBytes(detail, bytes=len(data), max_bytes=limits.max_bytes)
    image_format = sniff_format(data)
    if image_format is None:
        names = ", ".join(_OPENERS)
        raise UnsupportedFormat(f"The first bytes are not those of an accepted format ({names}).")
    return image_format


def _opened(data: bytes, image_format: str, *, limits: DecodeLimits) -> ImageFile:
    """Open without decoding, after the canvas that the file declares has been found acceptable."""
    canvas = declared_size(data, image_format)
    if canvas is not None:
        _check_size(canvas, limits)
    if image_format in ("PNG", "WEBP", "AVIF", "HEIF") and is_cut_short(data, image_format):
        raise TruncatedFile("The file ends before its own structure does; send it again.")
    if image_format == "JPEG" and data.count(_EXIF_MARK) > _MAX_EXIF_SEGMENTS:
        raise CorruptFile(f"The file repeats its EXIF block more than {_MAX_EXIF_SEGMENTS} times.")
    image = _OPENERS[image_format](BytesIO(data))
    _check_size(image.size, limits)
    if image_format == "TIFF":
        _check_tiff(image, len(data), limits=limits)
    if _is_animated(image, data):
        raise AnimatedImage("The file holds more than one frame; send one still image.")
    return image


def _check_size(size: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        detail = f"The image has {width:,} x {height:,} pixels; at most {limits.max_pixels:,} are accepted."
        raise TooManyPixels(detail, width=width, height=height, max_pixels=limits.max_pixels)
    if min(width, height) < limits.min_side_px:
        detail = f"The image is {width} x {height}; each side needs at least {limits.min_side_px} pixels."
        raise TooSmall(detail, width=width, height=height, min_side_px=limits.min_side_px)


def _check_tiff(image: ImageFile, file_bytes: int, *, limits: DecodeLimits) -> None:
    """A tile larger than the image is a bomb; strips past the end of the file mean that its end is missing."""
    tags = getattr(image, "tag_v2", {})
    tile_width, tile_height = (int(tags.get(tag, 0)) for tag in _TIFF_TILE_SIZE)
    if tile_width * tile_height > limits.max_pixels:
        detail = (
            f"A tile of {tile_width:,} x {tile_height:,} pixels; at most {limits.max_pixels:,} are accepted."
        )
        raise TooManyPixels(detail, width=tile_width, height=tile_height, max_pixels=limits.max_pixels)
    for offsets, counts in _TIFF_EXTENTS:
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if offset + count > file_bytes:
                raise TruncatedFile("The file ends before its pixel data does; send it again.")


def _is_animated(image: ImageFile, data: bytes) -> bool:
    """A HEIC may hold several independent pictures (its primary one is read), but a track is a sequence."""
    if image.format == "HEIF":
        return holds_a_track(data)
    return bool(getattr(image, "is_animated", False))


def _header(image: ImageFile, image_format: str) -> ImageHeader:
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    return ImageHeader(image_format, width, height, jpeg_quality=_jpeg_quality(image))


def _jpeg_quality(image: ImageFile) -> int | None:
    return jpeg_quality(image.quantization) if isinstance(image, JpegImagePlugin.JpegImageFile) else None


def _orientation(image: ImageFile) -> int:
    """EXIF orientation, 1 to 8. Pillow's own reader is not used: for a PNG it decodes the pixels first.

    Pillow turns a TIFF by itself and libheif a HEIC, both before anything is seen here.
    """
    exif = image.info.get("exif")
    return exif_orientation(exif) if image.format != "TIFF" and isinstance(exif, bytes) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


@contextmanager
def _refusals(data: bytes, image_format: str) -> Iterator[None]:
    """Translate whatever a decoder raises: they signal bad files by almost every built-in exception."""
    try:
        yield
    except (ImageRefused, MemoryError):
        raise
    except Unrepresentable as error:
        raise UnsupportedFormat(str(error)) from error
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"The image has too many pixels: {error}") from error
    except Exception as error:
        raise _refusal(error, data, image_format=image_format) from error


def _refusal(error: Exception, data: bytes, *, image_format: str) -> ImageRefused:
    words = str(error).lower()
    ends_early = isinstance(error, EOFError | struct.error) or "truncated" in words or "end of file" in words
    if ends_early or is_cut_short(data, image_format):
        return TruncatedFile(f"The {image_format} file ends early; send it again.")
    if any(sign in words for sign in ("cannot handle", "not supported", "unsupported", "unknown pixel mode")):
        return UnsupportedFormat(f"This variant of {image_format} is not read: {error}.")
    return CorruptFile(f"The {image_format} file cannot be decoded: {error}.")
