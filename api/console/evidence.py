"""What the page of one image says of its attribution: the verdict in plain words, and bars as numbers to draw.

Reads what the API's `Attribution` holds. Parts of an explanation that are not there, as of answers that older workers
gave, come out empty, and the page says so.
"""

from dataclasses import dataclass
from typing import Any

from api.result_schemas import Attribution

PHOTOGRAPH = "real"
TONES = {"generator": "named", "unseen": "unseen", "inconclusive": "open"}
HALF = 50.0  # per cent of a bar that grows to both sides


@dataclass(frozen=True)
class ClassRow:
    """What speaks for one known class; widths are per cent."""

    name: str
    probability: float
    p_value: float | None
    is_ruled_out: bool
    is_named: bool


@dataclass(frozen=True)
class Step:
    """One re-noising step; `height` is per cent of the most attended step."""

    timestep: int
    attention: float
    height: float


@dataclass(frozen=True)
class Feature:
    """One feature's part of the margin; the bar runs from `start`, both in per cent of the whole width."""

    index: int
    gate: float
    contribution: float
    start: float
    width: float


@dataclass(frozen=True)
class Prototype:
    """A class's nearest prototype."""

    generator: str
    index: int
    distance: float


@dataclass(frozen=True)
class Part:
    """One part of the picture that the model read, in pixels; `strength` is its share of the largest margin, 0 to 1."""

    left: int
    top: int
    width: int
    height: int
    margin: float
    strength: float


@dataclass(frozen=True)
class Evidence:
    """Everything of one attribution that the page draws."""

    tone: str
    headline: str
    p_value: float  # of the named class, or the largest of any
    fit: str
    closest: str | None
    runner_up: str | None
    margin: float | None
    classes: list[ClassRow]
    steps: list[Step]
    features: list[Feature]
    prototypes: list[Prototype]
    parts: list[Part]


def describe(found: Attribution) -> Evidence:
    """The attribution in words and bars."""
    prototypes = [Prototype(**_only(entry, Prototype)) for entry in _entries(found.explanation, "prototypes")]
    closest = [name for name, _ in sorted(_distances(found.explanation).items(), key=lambda pair: pair[1])]
    margin = found.explanation.get("margin")
    return Evidence(
        tone=TONES[found.verdict],
        headline=headline(found.verdict, found.generator),
        p_value=fit_of(found),
        fit=_fit(found),
        closest=closest[0] if closest else None,
        runner_up=closest[1] if len(closest) > 1 else None,
        margin=float(margin) if isinstance(margin, int | float) else None,
        classes=_classes(found),
        steps=_steps(found.explanation),
        features=_features(found.explanation),
        prototypes=prototypes,
        parts=_parts(found.explanation),
    )


def headline(verdict: str, generator: str | None) -> str:
    """The verdict in one plain sentence."""
    if verdict == "unseen":
        return "No generator that the model knows makes images like this"
    if generator is None:
        return "The evidence does not decide"
    if generator == PHOTOGRAPH:
        return "It looks like a photograph"
    return f"It looks like an image by {generator}"


def fit_of(found: Attribution) -> float:
    """The p-value of the named class, or the largest of any."""
    return found.p_values.get(found.generator or "", found.p_value)


def _fit(found: Attribution) -> str:
    """What the p-value means here."""
    p_value = fit_of(found)
    share = round(100 * p_value)
    of = f"images of {found.generator}" if found.generator else "images of the class that it fits best"
    if p_value <= found.smallest_p or share < 1:
        return f"Hardly any known {of} fit their class as badly as this one does."
    if share > 99:
        return f"Nearly all known {of} fit their class no better than this one."
    return f"About {share} in 100 known {of} fit their class no better than this one."


def _classes(found: Attribution) -> list[ClassRow]:
    rows = []
    for name, probability in sorted(found.probabilities.items(), key=lambda pair: (-pair[1], pair[0])):
        p_value = found.p_values.get(name)
        ruled_out = p_value is not None and p_value <= found.alpha
        rows.append(ClassRow(name, probability, p_value, ruled_out, name == found.generator))
    return rows


def _steps(explanation: dict[str, Any]) -> list[Step]:
    entries = _entries(explanation, "steps")
    largest = max((entry["attention"] for entry in entries), default=0.0) or 1.0
    return [
        Step(entry["timestep"], entry["attention"], 100 * entry["attention"] / largest) for entry in entries
    ]


def _features(explanation: dict[str, Any]) -> list[Feature]:
    entries = _entries(explanation, "features")
    largest = max((abs(entry["contribution"]) for entry in entries), default=0.0) or 1.0
    features = []
    for entry in entries:
        width = HALF * abs(entry["contribution"]) / largest
        start = HALF if entry["contribution"] >= 0 else HALF - width
        features.append(Feature(entry["index"], entry["gate"], entry["contribution"], start, width))
    return features


def _parts(explanation: dict[str, Any]) -> list[Part]:
    entries = _entries(explanation, "crops")
    largest = max((abs(entry["margin"]) for entry in entries), default=0.0) or 1.0
    return [Part(**entry, strength=abs(entry["margin"]) / largest) for entry in entries]


def _distances(explanation: dict[str, Any]) -> dict[str, float]:
    found = explanation.get("distances")
    return found if isinstance(found, dict) else {}


def _entries(explanation: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = explanation.get(name)
    return found if isinstance(found, list) else []


def _only(entry: dict[str, Any], kind: type) -> dict[str, Any]:
    return {name: entry[name] for name in kind.__dataclass_fields__}  # type: ignore[attr-defined]
