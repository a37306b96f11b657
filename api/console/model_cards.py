"""A model's card as a page shows it: the figures that are in it, in the order in which one asks for them.

A card is a file that came with the weights; sections that it lacks are left out, and nothing is computed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLOSED_SET = (
    ("macro_auc", "Macro AUC"),
    ("top1", "Top-1"),
    ("balanced_accuracy", "Balanced accuracy"),
    ("ece", "Calibration error"),
    ("brier", "Brier score"),
)
CONTROLS = {"colours": "colours alone", "metadata": "size and format alone"}


@dataclass(frozen=True)
class Figure:
    """A number between 0 and 1 with the bounds of its interval, as far as those are known."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """How often images of a class (rows) were given which class (columns)."""

    classes: list[str]
    counts: list[list[int]]

    def shade(self, row: int, column: int) -> int:
        """A count's share of its row, in tenths."""
        return round(10 * self.counts[row][column] / max(1, sum(self.counts[row])))


@dataclass(frozen=True)
class Measured:
    """What was measured under one protocol."""

    protocol: str
    images: int
    closed_set: list[Figure]
    classes: list[Figure]
    open_set: list[Figure]
    controls: list[Figure]
    confusion: Confusion | None


@dataclass(frozen=True)
class KnownClass:
    """One class, its calibration images, and the least p-value that these allow."""

    name: str
    calibration_images: int | None
    smallest_p: float | None


def measured_of(card: Mapping[str, Any]) -> list[Measured]:
    """All protocols of the card."""
    return [_measured(name, run) for name, run in card.get("metrics", {}).items()]


def classes_of(card: Mapping[str, Any], classes: list[str]) -> list[KnownClass]:
    """The classes with their calibration."""
    density = card.get("density", {})
    counts, least = density.get("calibration_images", {}), density.get("smallest_p", {})
    return [KnownClass(name, counts.get(name), least.get(name)) for name in classes]


def facts_of(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the model is made of, as pairs of words; those that the card does not tell are left out."""
    model, data = card.get("model", {}), card.get("data", {})
    preprocessing, verdict = model.get("preprocessing", {}), card.get("verdict", {})
    steps = model.get("schedule", {}).get("steps")
    told = [
        ("Training images", data.get("train_images")),
        ("Calibration images", data.get("calibration_images")),
        ("Protocol", preprocessing.get("protocol")),
        ("Crops", _times(preprocessing.get("crops"), preprocessing.get("crop_px"))),
        ("Re-noising steps", ", ".join(map(str, steps)) if steps else None),
        ("Prototypes a class", model.get("prototypes")),
        ("Alpha", verdict.get("alpha")),
        ("Least probability to name", verdict.get("min_probability")),
        ("Manifest of the data", data.get("manifest_sha256")),
    ]
    return [(name, str(value)) for name, value in told if value is not None]


def _measured(protocol: str, run: Mapping[str, Any]) -> Measured:
    closed, open_set = run.get("closed_set", {}), run.get("open_set") or {}
    confusion = closed.get("confusion")
    return Measured(
        protocol=protocol,
        images=run.get("images", 0),
        closed_set=[_figure(words, closed[name]) for name, words in CLOSED_SET if name in closed],
        classes=[_figure(name, found) for name, found in sorted(closed.get("class_auc", {}).items())],
        open_set=[
            _figure(name, open_set[name]["auroc"])
            for name in sorted(open_set, key=_summaries_first)
            if "auroc" in open_set[name]
        ],
        controls=[
            _figure(f"Macro AUC by {CONTROLS.get(name, name)}", control["closed_set"]["macro_auc"])
            for name, control in (run.get("controls") or {}).items()
            if "macro_auc" in control.get("closed_set", {})
        ],
        confusion=Confusion(**confusion) if confusion else None,
    )


def _summaries_first(name: str) -> tuple[bool, bool, str]:
    """All unseen images, then tiers of them, then one generator after another."""
    return name != "all", not name.startswith("tier "), name


def _figure(label: str, found: Mapping[str, float]) -> Figure:
    value = found["value"]
    return Figure(label, value, found.get("low", value), found.get("high", value))


def _times(count: int | None, side: int | None) -> str | None:
    return f"{count} of {side} px" if count is not None and side is not None else None
