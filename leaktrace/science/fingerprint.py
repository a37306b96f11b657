"""A perceptual hash: 64 bits that hardly change when a picture is saved again, so that near copies are found.

The signs of the 63 lowest frequencies of the first crop's grey values against their median, as pHash does. It is made
of what the model sees, so a picture that was cropped or scaled differently is another one, for the model as well. It
knows nothing of models or of where hashes are compared.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn

NEAR_BITS = 6
_SIDE = 32
_LOWEST = 8
_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def perceptual_hash(crops: NDArray[np.uint8]) -> int:
    """The hash of prepared crops (N, 3, side, side), as a signed 64-bit integer. Equal crops have equal hashes.

    Raises ValueError when the crops cannot be divided into 32 x 32 blocks.
    """
    side = crops.shape[-1]
    if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] != side or side % _SIDE:
        raise ValueError(
            f"crops have shape {crops.shape}; (N, 3, side, side) with side a multiple of {_SIDE}"
        )
    grey = np.tensordot(_GREY, crops[0].astype(np.float64), axes=1)  # (side, side)
    blocks = grey.reshape(_SIDE, side // _SIDE, _SIDE, side // _SIDE).mean(axis=(1, 3))
    lowest = dctn(blocks, norm="ortho")[:_LOWEST, :_LOWEST].ravel()[1:]  # without the mean brightness
    # Rounded, so that what is zero but for the arithmetic does not draw its sign by lot.
    bits = np.round(lowest - np.median(lowest), 3) > 0
    return int.from_bytes(np.packbits(np.append(bits, False)).tobytes(), signed=True)


def hash_distances(hashes: ArrayLike, other: int) -> NDArray[np.int64]:
    """How many bits of each hash (N,) differ from the other one."""
    values = np.asarray(hashes, dtype=np.int64)
    return np.bitwise_count((values ^ np.int64(other)).view(np.uint64)).astype(np.int64)
