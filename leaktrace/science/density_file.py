"""The file of a fitted density: safetensors with one JSON entry, checked for contradictions when it is read.

Classes that were enrolled after training stand in it with their prototypes and the temperature that goes with them, so
that everything which judges an image is one artefact, swapped whole.

Arrays and JSON only, so that reading a file from a bucket can never run what it holds. It knows nothing of how the
arrays are fitted or used.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from leaktrace.errors import Unavailable
from leaktrace.science.estimators import ESTIMATORS
from leaktrace.science.stratified import all_unknown

_FORMAT = "leaktrace-density-1"
# A file names its estimator only when it is another one, so that a stored density keeps its bytes and its hash.
_UNNAMED_ESTIMATOR = "kde"
# What an enrolment and a refit need beyond a verdict; a density without them still judges.
_OPTIONAL_ARRAYS: dict[str, np.dtype[Any]] = {
    "calibration_embeddings": np.dtype(np.float32),
    "calibration_gates": np.dtype(np.float32),
    "calibration_strata": np.dtype(np.int64),
    "enrolled_prototypes": np.dtype(np.float32),
    "joined": np.dtype(np.int64),
}
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
class EnrolledHead:
    """Prototypes (E, M, D) of the classes `names`, enrolled after training, and the temperature of the whole head.

    `slopes` times the evidence of linear discriminants, and `offsets`, are added to their scores, one of each a class:
    centres of mass lie nearer to every image than prototypes that were trained to tell classes apart. A slope is 0
    where a file was written before there were discriminants.
    """

    names: tuple[str, ...]
    prototypes: NDArray[np.float32]
    offsets: tuple[float, ...]
    slopes: tuple[float, ...]
    temperature: float


@dataclass(frozen=True)
class CalibrationSet:
    """The calibration images: embeddings (M, D), gates (M, D), strata (M,), and labels (M,) that index the classes.

    They stand by class, and where their strata are known each stands where its score does.
    """

    embeddings: NDArray[np.float32]
    gates: NDArray[np.float32]
    labels: NDArray[np.int64]
    strata: NDArray[np.str_]

    def in_order(self, rows: NDArray[np.int64]) -> "CalibrationSet":
        """The same images in another order."""
        return CalibrationSet(self.embeddings[rows], self.gates[rows], self.labels[rows], self.strata[rows])


@dataclass(frozen=True)
class DensityParts:
    """What a density is made of: `labels` (N,) index `classes`; sorted calibration scores, one array a class.

    `joined` are the rows of known images that came after the scales and bandwidths were chosen and have no say in them.

    `calibration` is there where a refit or an enrolment shall be possible, `head` where classes were enrolled. `facts`
    say what it was made with and of (preprocessing, code, data), as JSON; where they are known. Novelty goes by the
    first `judged_dim` dimensions, or by all.
    """

    model_version: str
    whiten: bool
    estimator: str
    classes: tuple[str, ...]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    bandwidths: NDArray[np.float64]
    calibration_scores: tuple[NDArray[np.float64], ...]
    calibration: CalibrationSet | None = None
    head: EnrolledHead | None = None
    joined: tuple[int, ...] = ()
    facts: Mapping[str, Any] | None = None
    judged_dim: int | None = None


def pack(parts: DensityParts) -> bytes:
    """One safetensors file, the same bytes for the same parts."""
    card: dict[str, Any] = {
        "format": _FORMAT,
        "model_version": parts.model_version,
        "whiten": parts.whiten,
        "classes": list(parts.classes),
        "bandwidths": parts.bandwidths.tolist(),
        "calibration_counts": [len(scores) for scores in parts.calibration_scores],
    }
    if parts.estimator != _UNNAMED_ESTIMATOR:
        card["estimator"] = parts.estimator
    if parts.judged_dim is not None:
        card["judged_dim"] = parts.judged_dim
    if parts.facts is not None:
        card["facts"] = dict(parts.facts)
    arrays: dict[str, NDArray[Any]] = {
        "embeddings": np.ascontiguousarray(parts.embeddings),
        "labels": np.ascontiguousarray(parts.labels, dtype=np.int64),
        "bandwidths": np.ascontiguousarray(parts.bandwidths),
        "calibration_scores": np.concatenate(parts.calibration_scores),
    }
    if parts.calibration is not None:
        arrays["calibration_embeddings"] = np.ascontiguousarray(parts.calibration.embeddings)
        arrays["calibration_gates"] = np.ascontiguousarray(parts.calibration.gates)
        names, codes = np.unique(parts.calibration.strata, return_inverse=True)
        if any(names):  # a density that knows none keeps its bytes and its hash
            card["strata"] = names.tolist()
            arrays["calibration_strata"] = codes.astype(np.int64)
    if parts.joined:
        arrays["joined"] = np.array(parts.joined, dtype=np.int64)
    if parts.head is not None:
        card["enrolled"] = list(parts.head.names)
        card["offsets"] = list(parts.head.offsets)
        card["slopes"] = list(parts.head.slopes)
        card["temperature"] = parts.head.temperature
        arrays["enrolled_prototypes"] = np.ascontiguousarray(parts.head.prototypes)
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
            estimator=str(card.get("estimator", _UNNAMED_ESTIMATOR)),
            classes=tuple(str(name) for name in card["classes"]),
            embeddings=arrays["embeddings"],
            labels=arrays["labels"],
            bandwidths=arrays["bandwidths"],
            calibration_scores=_per_class(arrays["calibration_scores"], counts),
            calibration=_calibration(card, arrays, counts),
            head=_head(card, arrays),
            joined=tuple(arrays.get("joined", np.empty(0, np.int64)).tolist()),
            facts=dict(card["facts"]) if "facts" in card else None,
            judged_dim=int(card["judged_dim"]) if "judged_dim" in card else None,
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
    if not set(_ARRAYS) <= set(arrays) <= set(_ARRAYS | _OPTIONAL_ARRAYS):
        raise ValueError(f"it holds the arrays {sorted(arrays)}, not {sorted(_ARRAYS)}")
    for name, array in arrays.items():
        kind = (_ARRAYS | _OPTIONAL_ARRAYS)[name]
        if array.dtype != kind:
            raise ValueError(f"{name} are {array.dtype}, not {kind}")
        if kind.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"some {name} are not finite")


def _per_class(scores: NDArray[np.float64], counts: list[int]) -> tuple[NDArray[np.float64], ...]:
    if min(counts, default=0) < 1 or scores.shape != (sum(counts),):
        raise ValueError(f"calibration scores have shape {scores.shape} for the counts {counts}")
    return tuple(np.split(scores, np.cumsum(counts)[:-1]))


def _calibration(
    card: dict[str, Any], arrays: dict[str, NDArray[Any]], counts: list[int]
) -> CalibrationSet | None:
    if "calibration_embeddings" not in arrays:
        return None
    embeddings, gates = arrays["calibration_embeddings"], arrays["calibration_gates"]
    shape = (sum(counts), arrays["embeddings"].shape[-1])
    if embeddings.shape != shape or gates.shape != shape:
        raise ValueError(f"calibration embeddings {embeddings.shape} and gates {gates.shape} must be {shape}")
    labels = np.repeat(np.arange(len(counts)), counts)
    return CalibrationSet(embeddings, gates, labels, _strata(card, arrays, sum(counts)))


def _strata(card: dict[str, Any], arrays: dict[str, NDArray[Any]], count: int) -> NDArray[np.str_]:
    if "strata" not in card and "calibration_strata" not in arrays:
        return all_unknown(count)
    names, codes = np.array([str(name) for name in card["strata"]]), arrays["calibration_strata"]
    if codes.shape != (count,) or not ((codes >= 0) & (codes < len(names))).all():
        raise ValueError(f"strata of shape {codes.shape} do not name {count} of {len(names)} strata")
    strata: NDArray[np.str_] = names[codes]
    return strata


def _head(card: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> EnrolledHead | None:
    if "enrolled" not in card:
        return None
    names, prototypes = tuple(str(name) for name in card["enrolled"]), arrays["enrolled_prototypes"]
    if prototypes.ndim != 3 or len(prototypes) != len(names) or not set(names) <= set(card["classes"]):
        raise ValueError(f"prototypes of shape {prototypes.shape} do not fit the enrolled classes {names}")
    offsets = tuple(float(offset) for offset in card["offsets"])
    slopes = tuple(float(slope) for slope in card.get("slopes", [0.0] * len(names)))
    if not len(offsets) == len(slopes) == len(names) or not np.isfinite((*offsets, *slopes)).all():
        raise ValueError(
            f"{len(offsets)} offsets and {len(slopes)} slopes do not fit the {len(names)} enrolled classes"
        )
    temperature = float(card["temperature"])
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be positive")
    return EnrolledHead(names, prototypes, offsets, slopes, temperature)


def _check_parts(parts: DensityParts, *, stated_bandwidths: list[float]) -> None:
    if parts.estimator not in ESTIMATORS:
        raise ValueError(f"its estimator is {parts.estimator!r}, none of {', '.join(ESTIMATORS)}")
    count = len(parts.classes)
    if list(parts.classes) != sorted(set(parts.classes)) or count != len(parts.calibration_scores):
        raise ValueError(
            f"{count} classes, sorted and distinct, are needed for {len(parts.calibration_scores)}"
        )
    if parts.embeddings.ndim != 2 or parts.labels.shape != (len(parts.embeddings),):
        raise ValueError(
            f"labels of shape {parts.labels.shape} do not fit embeddings {parts.embeddings.shape}"
        )
    if parts.judged_dim is not None and not 0 < parts.judged_dim <= parts.embeddings.shape[1]:
        raise ValueError(f"{parts.judged_dim} of {parts.embeddings.shape[1]} dimensions cannot be judged")
    if parts.joined and not 0 <= min(parts.joined) <= max(parts.joined) < len(parts.embeddings):
        raise ValueError(f"rows up to {max(parts.joined)} joined {len(parts.embeddings)} embeddings")
    if set(np.unique(parts.labels).tolist()) != set(range(count)):
        raise ValueError(f"labels do not name each of the {count} classes")
    if parts.bandwidths.shape != (count,) or not (parts.bandwidths > 0).all():
        raise ValueError(f"{count} positive bandwidths are needed, not {parts.bandwidths.tolist()}")
    if parts.bandwidths.tolist() != stated_bandwidths:
        raise ValueError(f"bandwidths {parts.bandwidths.tolist()} differ from the stated {stated_bandwidths}")
    if any((np.diff(scores) < 0).any() for scores in parts.calibration_scores):
        raise ValueError("calibration scores are not in order")
