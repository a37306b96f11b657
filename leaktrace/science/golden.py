"""Golden answers: what a model must say of images that are computed, not photographed.

The pixels come from SHA-256 in counter mode, smoothed into blobs and overlaid with grain, so they are the same on
every machine and with every library version. They enter after decoding, so that a golden answer tests the networks
and the density and not a JPEG library. Knows nothing of how an answer is made.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.images import ImageHeader
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, content_hash

GOLDEN_IMAGES = 2
BLOB_PX = 32


def golden_image(index: int, preprocessing: Preprocessing) -> PreparedImage:
    """The prepared crops (N, 3, side, side) of golden image `index`."""
    side = preprocessing.crop_px
    shape = (preprocessing.crops, 3, side, side)
    blobs = _bytes(f"blobs {index}", (*shape[:2], side // BLOB_PX, side // BLOB_PX))
    smooth = blobs.repeat(BLOB_PX, axis=2).repeat(BLOB_PX, axis=3).astype(np.int64)
    grain = _bytes(f"grain {index}", shape).astype(np.int64) % 16
    crops = (smooth * 15 // 16 + grain).astype(np.uint8)
    return PreparedImage(
        crops=crops,
        header=ImageHeader(format="PNG", width=side, height=side),
        sha256=hashlib.sha256(crops.tobytes()).hexdigest(),
        content_hash=content_hash(crops),
        extended=False,
    )


def _bytes(key: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    count = int(np.prod(shape))
    blocks = (hashlib.sha256(f"{key} {block}".encode()).digest() for block in range(count // 32 + 1))
    return np.frombuffer(b"".join(blocks), dtype=np.uint8)[:count].reshape(shape)
