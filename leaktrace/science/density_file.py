"""The file of a fitted density: safetensors with one JSON entry, checked for contradictions when it is read.

Arrays and JSON only, so that reading a file from a bucket can never run what it holds. It knows nothing of how the
arrays are fitted or used.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from leaktrace.errors import Unavailable

_FORMAT = "leaktrace-density-1"
_ARRAYS: dict[str, np.dtype[Any]] = {
    "embeddings": np.dtype(np.float32),
    "labels": np.dtype(np.int64),
    "bandwidths": np.dtype(np.float64),
    "calibration_scores": np.dtype(np.float64),
}


class DensityUnusable(Unavailable):
    """A stored density is damaged, or says two things at once; publish another version or roll back."""

    code = "density_unusable"


@dataclass(frozen=True)
class DensityParts:
    """What a density is made of: `labels` (N,) index `classes`; sorted calibration scores, one array a class."""

    model_version: str
    whiten: bool
    classes: tuple[str, ...]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    bandwidths: NDArray[np.float64]
    calibration_scores: tuple[NDArray[np.float64], ...]


def pack(parts: DensityParts) -> bytes:
    """One safetensors file, the same bytes for the same parts."""
    card = {
        "format": _FORMAT,
        "model_version": parts.model_version,
        "whiten": parts.whiten,
        "classes": list(parts.classes),
        "bandwidths": parts.bandwidths.tolist(),
        "calibration_counts": [len(scores) for scores in parts.calibration_scores],
    }
    arrays: dict[str, NDArray[Any]] = {
        "embeddings": np.ascontiguousarray(parts.embeddings),
        "labels": np.ascontiguousarray(parts.labels, dtype=np.int64),
        "bandwidths": np.ascontiguousarray(parts.bandwidths),
        "calibration_scores": np.concatenate(parts.calibration_scores),
    }
    packed: bytes = save(arrays, metadata={"density": json.dumps(card, sort_keys=True)})
    return packed


def unpack(data: bytes) -> DensityParts:
    """Read and check; raises DensityUnusable, whatever is wrong."""
    try:
        card, arrays = _card(data), load(data)
        _check_arrays(arrays)
        counts = [int(count) for count in card["calibration_counts"]]
        parts = DensityParts(
            model_version=str(card["model_version"]),
            whiten=bool(card.get("whiten", False)),
            classes=tuple(str(name) for name in card["classes"]),
            embeddings=arrays["embeddings"],
            labels=arrays["labels"],
            bandwidths=arrays["bandwidths"],
            calibration_scores=_per_class(arrays["calibration_scores"], counts),
        )
        _check_parts(parts, stated_bandwidths=card["bandwidths"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DensityUnusable(f"The density file cannot be used: {error}.") from error
    return parts


def _card(data: bytes) -> dict[str, Any]:
    """The JSON entry of a safetensors file held in memory: 8 bytes of length, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["density"])
    if card["format"] != _FORMAT:
        raise ValueError(f"its format is {card['format']!r}, not {_FORMAT!r}")
    return dict(card)


def _check_arrays(arrays: dict[str, NDArray[Any]]) -> None:
    if set(arrays) != set(_ARRAYS):
        raise ValueError(f"it holds the arrays {sorted(arrays)}, not {sorted(_ARRAYS)}")
    for name, kind in _ARRAYS.items():
        if arrays[name].dtype != kind:
            raise ValueError(f"{name} are {arrays[name].dtype}, not {kind}")
        if kind.kind == "f" and not np.isfinite(arrays[name]).all():
            raise ValueError(f"some {name} are not finite")


def _per_class(scores: NDArray[np.float64], counts: list[int]) -> tuple[NDArray[np.float64], ...]:
    if min(counts, default=0) < 1 or scores.shape != (sum(counts),):
        raise ValueError(f"calibration scores have shape {scores.shape} for the counts {counts}")
    return tuple(np.split(scores, np.cumsum(counts)[:-1]))


def _check_parts(parts: DensityParts, *, stated_bandwidths: list[float]) -> None:
    count = len(parts.classes)
    if list(parts.classes) != sorted(set(parts.classes)) or count != len(parts.calibration_scores):
        raise ValueError(
            f"{count} classes, sorted and distinct, are needed for {len(parts.calibration_scores)}"
        )
    if parts.embeddings.ndim != 2 or parts.labels.shape != (len(parts.embeddings),):
        raise ValueError(
            f"labels of shape {parts.labels.shape} do not fit embeddings {parts.embeddings.shape}"
        )
    if set(np.unique(parts.labels).tolist()) != set(range(count)):
        raise ValueError(f"labels do not name each of the {count} classes")
    if parts.bandwidths.shape != (count,) or not (parts.bandwidths > 0).all():
        raise ValueError(f"{count} positive bandwidths are needed, not {parts.bandwidths.tolist()}")
    if parts.bandwidths.tolist() != stated_bandwidths:
        raise ValueError(f"bandwidths {parts.bandwidths.tolist()} differ from the stated {stated_bandwidths}")
    if any((np.diff(scores) < 0).any() for scores in parts.calibration_scores):
        raise ValueError("calibration scores are not in order")
