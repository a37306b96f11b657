"""Images for the benchmarks: as many as wanted, no two of them with the same bytes.

Equal bytes would be answered from what was attributed before, so each copy of an image gets a few bytes after its end,
where decoders do not look. Without a folder, pictures are computed.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from leaktrace.client import UploadFile, files_in

COMPUTED_PICTURES = 64
SIDE_PX = 512
JPEG_QUALITY = 90


def distinct_images(folder: Path | None, *, number: int, series: int = 0) -> list[bytes]:
    """`number` files; those of another series differ in their bytes and in nothing else."""
    base = list(_read(folder)) if folder else [_picture(seed) for seed in range(COMPUTED_PICTURES)]
    if not base:
        raise SystemExit(f"there is no image in {folder}")
    return [base[place % len(base)] + b"%d-%d" % (series, place) for place in range(number)]


def uploads(images: list[bytes]) -> Iterator[UploadFile]:
    """The images as files to upload."""
    for place, data in zip(count(), images, strict=False):
        yield UploadFile.from_bytes(data, custom_id=f"{place:06}")


def _read(folder: Path) -> Iterator[bytes]:
    for file in files_in(folder):
        if isinstance(file, UploadFile):
            with file.open() as content:
                yield content.read()


def _picture(seed: int) -> bytes:
    """A smooth picture with noise, about as hard to decode as a photograph of its size."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    noisy = np.clip(smooth + draw.normal(0, 6, size=smooth.shape), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
