"""What a density version is: preprocessing, estimator, bandwidths, calibration, data and code, as its row tells it.

Two versions with the same facts and the same data are the same density. Knows nothing of how one is made.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from leaktrace import __version__
from leaktrace.science.density import OpenSetDensity


def describe(density: OpenSetDensity, card: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a density of the model with this card, as JSON."""
    classes = [str(name) for name in density.classes_]
    return {
        "preprocessing_sha256": _hash_of(card.get("model", {}).get("preprocessing")),
        "estimator": {"name": type(density).__name__, **_plain(density.get_params())},
        "bandwidths": dict(zip(classes, density.bandwidths_.tolist(), strict=True)),
        "calibration": {
            "counts": dict(zip(classes, density.calibration_counts_.tolist(), strict=True)),
            "smallest_p": dict(zip(classes, density.smallest_p_.tolist(), strict=True)),
            "strata": _strata(density, classes),
        },
        "classes": classes,
        "code_version": __version__,
    }


def _strata(density: OpenSetDensity, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many calibration images each class has of each stratum; empty where no image's stratum is known."""
    kept = density.calibration_
    if kept is None or not kept.strata.any():
        return {}
    counted = {name: Counter(kept.strata[kept.labels == row].tolist()) for row, name in enumerate(classes)}
    return {name: dict(sorted(counts.items())) for name, counts in counted.items()}


def training_data(card: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of the images that a model's own density was fitted and calibrated on, as far as its card says."""
    named = ("manifest_sha256", "train_images", "calibration_images")
    return {name: card["data"][name] for name in named if name in card.get("data", {})}


def _hash_of(section: Any) -> str | None:
    if section is None:
        return None
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON takes them."""
    return {name: json.loads(json.dumps(value, default=str)) for name, value in parameters.items()}
