"""What happens to images after they are made: operators that change pixels, each drawn from the image's own content.

An operator takes (H, W, 3) uint8 pixels and a level and gives pixels, of another size where it says so. The same
image, operator and level give the same pixels on every call. Used to measure robustness, and fit for augmentation.
Knows nothing of models or protocols.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from leaktrace.science.preprocessing import content_hash

Pixels = NDArray[np.uint8]
Operator = Callable[[Image.Image, float, np.random.Generator], Image.Image]

SMALLEST_SIDE_PX = 128  # nothing is made smaller than attribution accepts
SCREEN_GREY = (32, 33, 36)
SOCIAL_QUALITIES = (70, 85)


@dataclass(frozen=True)
class Attack:
    """An operator at the levels that its curve is drawn over, from mild to strong; `unit` names the level."""

    operator: Operator
    levels: tuple[float, ...]
    unit: str


def apply(pixels: Pixels, name: str, *, level: float) -> Pixels:
    """One operator of ATTACKS at one level. Raises ValueError for a name that is not there."""
    if name not in ATTACKS:
        raise ValueError(f"{name!r} is none of the {len(ATTACKS)} operators {', '.join(ATTACKS)}")
    seed = hashlib.sha256(content_hash(pixels) + f"{name} {level}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(seed))
    changed = ATTACKS[name].operator(Image.fromarray(pixels), level, generator)
    return np.ascontiguousarray(np.asarray(changed.convert("RGB"), dtype=np.uint8))


def jpeg(image: Image.Image, quality: float, generator: np.random.Generator) -> Image.Image:
    """Baseline JPEG 4:2:0 at a quality."""
    del generator
    return _through(image, "JPEG", quality=int(quality), subsampling="4:2:0")


def webp(image: Image.Image, quality: float, generator: np.random.Generator) -> Image.Image:
    """Lossy WebP at a quality."""
    del generator
    return _through(image, "WEBP", quality=int(quality), method=2)


def crop(image: Image.Image, share: float, generator: np.random.Generator) -> Image.Image:
    """A window with `share` of each side, anywhere: the 8-pixel grid of JPEG moves."""
    width, height = (_side(length * share, at_most=length) for length in image.size)
    left = int(generator.integers(0, image.width - width, endpoint=True))
    top = int(generator.integers(0, image.height - height, endpoint=True))
    return image.crop((left, top, left + width, top + height))


def resize(image: Image.Image, scale: float, generator: np.random.Generator) -> Image.Image:
    """Bicubic resampling to `scale` of each side, below or above 1."""
    del generator
    return _scaled(image, scale)


def rotate(image: Image.Image, degrees: float, generator: np.random.Generator) -> Image.Image:
    """A turn to either side about the centre, bicubic; the corners are cut away so that no border shows."""
    turned = image.rotate(
        degrees * (1 if generator.random() < 0.5 else -1), resample=Image.Resampling.BICUBIC
    )
    angle = np.deg2rad(degrees)
    ratio = max(image.size) / min(image.size)
    share = float(1 / (np.cos(angle) + ratio * np.sin(angle)))
    width, height = (_side(length * share, at_most=length) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return turned.crop((left, top, left + width, top + height))


def blur(image: Image.Image, sigma_px: float, generator: np.random.Generator) -> Image.Image:
    """Gaussian blur."""
    del generator
    return image.filter(ImageFilter.GaussianBlur(sigma_px))


def brightness(image: Image.Image, change: float, generator: np.random.Generator) -> Image.Image:
    """Brighter or darker by the factor 1 + change or its inverse."""
    return ImageEnhance.Brightness(image).enhance(_either_way(change, generator))


def contrast(image: Image.Image, change: float, generator: np.random.Generator) -> Image.Image:
    """More or less contrast by the factor 1 + change or its inverse."""
    return ImageEnhance.Contrast(image).enhance(_either_way(change, generator))


def greyscale(image: Image.Image, share: float, generator: np.random.Generator) -> Image.Image:
    """Blend `share` of the way towards luminance alone; 1 is greyscale."""
    del generator
    return Image.blend(image, image.convert("L").convert("RGB"), share)


def screenshot(image: Image.Image, scale: float, generator: np.random.Generator) -> Image.Image:
    """Shown on a screen at `scale`, captured with a rim of what is around it, cropped by hand, saved as PNG."""
    shown = _scaled(image, scale, Image.Resampling.BILINEAR)
    rim = [int(side) for side in generator.integers(0, 9, size=4)]
    canvas = Image.new("RGB", (shown.width + rim[0] + rim[2], shown.height + rim[1] + rim[3]), SCREEN_GREY)
    canvas.paste(shown, (rim[0], rim[1]))
    return canvas


def social(image: Image.Image, times: float, generator: np.random.Generator) -> Image.Image:
    """Uploaded `times` times over: longest side at most 1080, a little sharpened, JPEG 4:2:0 at 70 to 85 each time."""
    for _ in range(int(times)):
        longest = int(generator.integers(720, 1080, endpoint=True))
        if max(image.size) > longest:
            image = _scaled(image, longest / max(image.size), Image.Resampling.LANCZOS)
        image = image.filter(ImageFilter.UnsharpMask(radius=0.8, percent=40, threshold=2))
        image = jpeg(image, int(generator.integers(*SOCIAL_QUALITIES, endpoint=True)), generator)
    return image


def chain(image: Image.Image, length: float, generator: np.random.Generator) -> Image.Image:
    """`length` different operators in random order, each at one of its levels."""
    for name in generator.choice(CHAINED, size=int(length), replace=False):
        attack = ATTACKS[str(name)]
        image = attack.operator(image, float(generator.choice(attack.levels)), generator)
    return image


ATTACKS: Mapping[str, Attack] = {
    "jpeg": Attack(jpeg, (95, 85, 75, 60, 40), "quality"),
    "webp": Attack(webp, (95, 80, 60, 40), "quality"),
    "crop": Attack(crop, (0.9, 0.75, 0.6), "share of each side"),
    "resize down": Attack(resize, (0.9, 0.75, 0.5), "scale"),
    "resize up": Attack(resize, (1.1, 1.5, 2.0), "scale"),
    "rotate": Attack(rotate, (2, 5, 15), "degrees"),
    "blur": Attack(blur, (0.5, 1.0, 2.0), "sigma in px"),
    "brightness": Attack(brightness, (0.1, 0.3, 0.6), "change"),
    "contrast": Attack(contrast, (0.1, 0.3, 0.6), "change"),
    "greyscale": Attack(greyscale, (0.5, 1.0), "share"),
    "screenshot": Attack(screenshot, (1.0, 0.9, 0.75), "scale"),
    "social": Attack(social, (1, 2), "uploads"),
    "chain": Attack(chain, (1, 2, 3), "operators"),
}
CHAINED = tuple(name for name in ATTACKS if name not in ("chain", "screenshot", "social"))


def _either_way(change: float, generator: np.random.Generator) -> float:
    return 1 + change if generator.random() < 0.5 else 1 / (1 + change)


def _scaled(
    image: Image.Image, scale: float, method: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    if scale == 1:
        return image
    width, height = (max(SMALLEST_SIDE_PX, round(length * scale)) for length in image.size)
    return image.resize((width, height), method)


def _side(length: float, *, at_most: int) -> int:
    return min(at_most, max(SMALLEST_SIDE_PX, round(length)))


def _through(image: Image.Image, image_format: str, **settings: int | str) -> Image.Image:
    file = BytesIO()
    image.save(file, format=image_format, **settings)
    with Image.open(file, formats=(image_format,)) as decoded:
        return decoded.convert("RGB")
