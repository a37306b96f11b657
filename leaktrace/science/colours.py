"""Any mode that a still image can have -> opaque 8-bit sRGB.

Alpha is split off before the colours are converted and laid on white afterwards, so that a profile never sees a
blend. It knows nothing of files, formats or limits.
"""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_BACKGROUND = (255, 255, 255)
# Rounding inside a profile moves sRGB itself by up to this many levels.
_SAME_COLOUR_LEVELS = 2
_PLAIN_MODE = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "CMYK": "CMYK",
    "YCbCr": "RGB",
}
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


class Unrepresentable(ValueError):
    """The samples have no fixed range that 8 bits could stand for."""


def flatten_to_srgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image to mode RGB in sRGB; raises Unrepresentable for float and 32-bit samples."""
    colour, alpha = _without_alpha(image)
    opaque = _in_srgb(colour, image.info.get("icc_profile"))
    if alpha is None:
        return opaque
    flat = Image.new("RGB", opaque.size, _BACKGROUND)
    flat.paste(opaque, mask=alpha)
    return flat


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split into colours (mode L, RGB or CMYK) and alpha (mode L), if there is any."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return _high_byte(image)
    mode = _PLAIN_MODE.get(image.mode)
    if mode is None:
        raise Unrepresentable(f"samples of mode {image.mode} have no fixed 8- or 16-bit range")
    if "transparency" in image.info:
        mode = _WITH_ALPHA.get(mode, mode)
    plain = image if image.mode == mode else image.convert(mode)
    if mode in ("LA", "RGBA"):
        return plain.convert(mode.removesuffix("A")), plain.getchannel("A")
    return plain, None


def _high_byte(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    samples = np.asarray(image)
    grey = Image.fromarray((samples >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey, None
    return grey, Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))


def _in_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    transform, mode = _transform(profile, colour.mode) if profile else (None, colour.mode)
    if transform is None:
        return colour.convert("RGB")
    converted = ImageCms.applyTransform(colour.convert(mode), transform)
    if converted is None:
        raise Unrepresentable(f"the colour profile gives no image from mode {colour.mode}")
    return converted


def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The transform to sRGB and the mode it reads; None when the profile is unusable or is sRGB already."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        # A grey image may carry the profile of the RGB space it belongs to; the reverse makes no sense.
        read = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if read is None or (read != mode and (read, mode) != ("RGB", "L")):
            return None, mode
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            read,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None, mode
    return (None, mode) if read != "CMYK" and _changes_nothing(transform, read) else (transform, read)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Try the transform on a 9 x 9 x 9 lattice of colours, or on all 256 greys."""
    if mode == "L":
        probe = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        levels = np.linspace(0, 255, 9).round().astype(np.uint8)
        probe = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3))
    moved = ImageCms.applyTransform(probe, transform)
    shift = np.abs(np.asarray(moved, dtype=int) - np.asarray(probe.convert("RGB"), dtype=int))
    return int(shift.max()) <= _SAME_COLOUR_LEVELS
