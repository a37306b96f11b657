"""Pictures for the end-to-end tests, the bad ones too, each with the outcome that the service promises for it."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SUCCEEDED = "succeeded"
BOMB_SIDE = 12_000


def photo(seed: int, *, side: int = 320, mode: str = "RGB") -> Image.Image:
    """A smooth picture with noise, different for every seed."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16
    )
    noisy = np.clip(smooth + draw.integers(-12, 13, size=smooth.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """The file of a picture."""
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_of_zeros(width: int, height: int, *, complete: bool) -> bytes:
    """A grey PNG of that size: all its pixels in a few kilobytes, or only the header that claims them."""
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height if complete else 1)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def animation() -> bytes:
    """A GIF of three frames."""
    first, *rest = [photo(seed, mode="P") for seed in (1, 2, 3)]
    return encoded(first, "GIF", save_all=True, append_images=rest, duration=100)


def sixteen_bit() -> bytes:
    """A grey PNG with 16 bits a pixel."""
    pixels = np.random.default_rng(5).integers(0, 65536, size=(300, 300), dtype=np.uint16)
    return encoded(Image.fromarray(pixels), "PNG")


# Name, content, and what must come of it: "succeeded" or the code of the failure.
PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "good.jpg": (lambda: encoded(photo(10, side=512), "JPEG", quality=90), SUCCEEDED),
    "good.png": (lambda: encoded(photo(11), "PNG"), SUCCEEDED),
    "good.webp": (lambda: encoded(photo(12), "WEBP"), SUCCEEDED),
    "again/good.png": (lambda: encoded(photo(11), "PNG"), SUCCEEDED),
    "cmyk.jpg": (lambda: encoded(photo(13, mode="CMYK"), "JPEG"), SUCCEEDED),
    "transparent.png": (lambda: encoded(photo(14, mode="RGBA"), "PNG"), SUCCEEDED),
    "sixteen-bit.png": (sixteen_bit, SUCCEEDED),
    "smaller-than-the-crop.png": (lambda: encoded(photo(15, side=160), "PNG"), SUCCEEDED),
    "jpeg-named.png": (lambda: encoded(photo(16), "JPEG"), SUCCEEDED),
    "truncated.jpg": (lambda: encoded(photo(17), "JPEG")[:4000], "truncated"),
    "text.jpg": (lambda: b"this is no picture", "unsupported_format"),
    "empty.png": (lambda: b"", "empty"),
    "one-pixel.png": (lambda: encoded(photo(18, side=8).resize((1, 1)), "PNG"), "too_small"),
    "claims-40000.png": (lambda: png_of_zeros(40_000, 40_000, complete=False), "too_many_pixels"),
    "bomb.png": (lambda: png_of_zeros(BOMB_SIDE, BOMB_SIDE, complete=True), "too_many_pixels"),
    "animated.gif": (animation, "animated"),
}


def write_pictures(folder: Path) -> Path:
    """All of them, as files in the folder."""
    for name, (content, _) in PICTURES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content())
    return folder
