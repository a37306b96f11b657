"""Pictures that stand, nearly the same, on both sides of a split: a perceptual hash finds what equal bytes miss.

A resized or re-encoded copy of a training image would let a model recognise the picture instead of the trace. Pairs
are reported and their images left out of a second set of figures, never dropped in silence. Knows nothing of models.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.training.survey import HASH_FREQUENCIES, Surveyed

# Of 64 bits. Copies after JPEG, resizing or slight crops differ by up to about 6; unrelated pictures by 32 on average.
NEAR_BITS = 6
_BITS = HASH_FREQUENCIES**2
PAIRS_SHOWN = 50


@dataclass(frozen=True)
class NearPair:
    """A judged image and a fitted one that look alike; `bits` is how many of 64 differ."""

    judged: str
    fitted: str
    bits: int


def near_duplicates(judged: Sequence[Surveyed], fitted: Sequence[Surveyed]) -> list[NearPair]:
    """The nearest fitted image of each judged one that has one within NEAR_BITS."""
    left = [one for one in judged if one.perceptual is not None]
    right = [one for one in fitted if one.perceptual is not None]
    if not left or not right:
        return []
    distances = _distances(_hashes(left), _hashes(right))
    nearest = distances.argmin(axis=1)
    return [
        NearPair(one.sample.file, right[nearest[row]].sample.file, int(distances[row, nearest[row]]))
        for row, one in enumerate(left)
        if distances[row, nearest[row]] <= NEAR_BITS
    ]


def described(pairs: Sequence[NearPair], *, judged: int, fitted: int) -> dict[str, Any]:
    """What was compared and what was found, for JSON."""
    return {
        "judged_images": judged,
        "fitted_images": fitted,
        "near_bits": NEAR_BITS,
        "found": len(pairs),
        "pairs": [asdict(pair) for pair in pairs[:PAIRS_SHOWN]],
    }


def _hashes(surveyed: Sequence[Surveyed]) -> NDArray[np.float32]:
    return np.stack([one.perceptual for one in surveyed if one.perceptual is not None]).astype(np.float32)


def _distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.int64]:
    """Hamming distances (N, M) of rows of zeros and ones: |a| + |b| - 2 a.b."""
    product = left @ right.T
    distances = np.rint(left.sum(1)[:, None] + right.sum(1)[None] - 2 * product)
    return np.asarray(distances, dtype=np.int64)
