"""The HTML report of a batch: one file with everything in it, which opens without a network and runs no script.

Turns results into the plain records that `templates/report.html` shows. The template escapes all text; numbers are
formatted here. Knows nothing of where results come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from leaktrace.cli.summary import Agreement, Summary
from leaktrace.cli.terminal import printable
from leaktrace.client import FileAnswer, Result

TEMPLATES = Path(__file__).parent / "templates"
MOST_CARDS = 600
HUES = 10
SHOWN_PROBABILITIES = 4


@dataclass(frozen=True)
class Bar:
    """A named share between 0 and 1."""

    name: str
    share: float
    words: str


@dataclass(frozen=True)
class Card:
    """What is shown of one image."""

    file: str
    kind: str  # generator, unseen, inconclusive, failed or cancelled
    headline: str
    reason: str
    hue: int | None = None
    thumbnail: str | None = None
    p_value: str = ""
    top: tuple[Bar, ...] = ()
    steps: tuple[Bar, ...] = ()
    classes: tuple[tuple[str, str, str], ...] = ()  # name, probability, p-value
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ChartRow:
    """One bar of the summary."""

    name: str
    kind: str
    hue: int | None
    count: int
    median_p: str
    width: float  # of the chart's width, 0 to 1


@dataclass(frozen=True)
class Report:
    """All that the template is given."""

    title: str
    origin: str
    made_at: datetime
    seconds: float | None
    total: int
    chart: Sequence[ChartRow]
    cards: Sequence[Card]
    agreement: str | None
    facts: Sequence[tuple[str, str]]
    kinds: Mapping[str, int] = field(default_factory=dict)


def build_report(
    results: Sequence[Result],
    refused: Sequence[FileAnswer],
    *,
    summary: Summary,
    names: Mapping[str, str],
    thumbnails: Mapping[str, str],
    origin: str,
    seconds: float | None = None,
    comparison: Agreement | None = None,
) -> Report:
    """Put a report together; `names` gives each custom id its file name, `thumbnails` each file name its data URI."""
    hues = _hues(results)
    cards = [_refused_card(answer, names) for answer in refused]
    cards += [_card(result, names, hues=hues, thumbnails=thumbnails) for result in results]
    cards.sort(key=lambda card: (card.kind in ("failed", "cancelled"), card.file))
    return Report(
        title=f"{summary.total:,} images",
        origin=printable(origin),
        made_at=datetime.now(UTC),
        seconds=seconds,
        total=summary.total,
        chart=_chart(summary, hues),
        cards=cards[:MOST_CARDS],
        agreement=comparison.words() if comparison else None,
        facts=_versions(results),
        kinds=_kinds(cards),
    )


def write_report(report: Report, path: Path) -> None:
    """Render and write the report whole."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(report=report)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def _hues(results: Sequence[Result]) -> dict[str, int]:
    """A colour for each class of the model, the same in chart and cards; colours repeat past ten classes."""
    classes = sorted(
        {name for result in results if result.attribution for name in result.attribution.probabilities}
    )
    return {name: place % HUES for place, name in enumerate(classes)}


def _card(
    result: Result, names: Mapping[str, str], *, hues: Mapping[str, int], thumbnails: Mapping[str, str]
) -> Card:
    name = names.get(result.custom_id, result.custom_id)
    shown = printable(name)
    found = result.attribution
    if found is None:
        problem = result.error
        kind = "cancelled" if result.state == "cancelled" else "failed"
        headline = problem.code if problem else result.state
        return Card(shown, kind, printable(headline), printable(problem.detail if problem else ""))
    by_share = sorted(found.probabilities.items(), key=lambda entry: -entry[1])
    return Card(
        shown,
        found.verdict,
        printable(found.generator or found.verdict),
        printable(found.reason),
        hue=hues.get(found.generator) if found.generator else None,
        thumbnail=thumbnails.get(name),
        p_value=_p_words(found.p_value, found.smallest_p),
        top=tuple(
            Bar(printable(key), share, f"{share:.0%}") for key, share in by_share[:SHOWN_PROBABILITIES]
        ),
        steps=_steps(found.explanation),
        classes=tuple(
            (printable(key), f"{share:.1%}", f"{found.p_values[key]:.3f}" if key in found.p_values else "")
            for key, share in by_share
        ),
        facts=_image_facts(result),
    )


def _refused_card(answer: FileAnswer, names: Mapping[str, str]) -> Card:
    problem = answer.error
    name = names.get(answer.custom_id, answer.custom_id)
    return Card(
        printable(name),
        "failed",
        printable(problem.code if problem else "refused"),
        printable(problem.detail if problem else ""),
    )


def _p_words(p_value: float, smallest_p: float) -> str:
    return f"p ≤ {smallest_p:.3f}" if p_value <= smallest_p else f"p = {p_value:.3f}"


def _steps(explanation: Mapping[str, object]) -> tuple[Bar, ...]:
    """Attention over the re-noising steps, relative to the largest."""
    entries = explanation.get("steps")
    pairs = [
        (str(entry.get("timestep")), float(entry.get("attention", 0.0)))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]
    largest = max((attention for _, attention in pairs), default=0.0) or 1.0
    return tuple(Bar(step, attention / largest, f"{attention:.2f}") for step, attention in pairs)


def _image_facts(result: Result) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    if result.image is not None:
        image = result.image
        size = f"{image.width} × {image.height} px, " if image.width else ""
        facts.append(("image", f"{size}{image.format or ''} {image.size_bytes / 1000:,.0f} kB"))
        facts.append(("SHA-256", image.sha256))
    found = result.attribution
    prototypes = found.explanation.get("prototypes") if found else None
    if isinstance(prototypes, list) and prototypes and isinstance(prototypes[0], dict):
        nearest = prototypes[0]
        distance = float(nearest.get("distance", 0.0))
        words = f"{nearest.get('generator')} no. {nearest.get('index')}, distance {distance:.2f}"
        facts.append(("nearest prototype", printable(words)))
    if found is not None and found.extended:
        facts.append(("note", "smaller than the crop; extended by reflection"))
    return tuple(facts)


def _versions(results: Sequence[Result]) -> list[tuple[str, str]]:
    found = [result.attribution for result in results if result.attribution]
    models = ", ".join(sorted({entry.model_version for entry in found}))
    densities = ", ".join(sorted({entry.density_version for entry in found}))
    alphas = ", ".join(f"{alpha:g}" for alpha in sorted({entry.alpha for entry in found}))
    pairs = [("model", models), ("density", densities), ("alpha", alphas)]
    return [(name, printable(value)) for name, value in pairs if value]


def _chart(summary: Summary, hues: Mapping[str, int]) -> list[ChartRow]:
    rows = [
        (
            name,
            "generator" if name in summary.p_values else name,
            count,
            "" if middle is None else f"{middle:.3f}",
        )
        for name, count, middle in summary.rows()
    ]
    rows += [(f"failed: {code}", "failed", count, "") for code, count in summary.failed.most_common()]
    if summary.cancelled:
        rows.append(("cancelled", "cancelled", summary.cancelled, ""))
    largest = max((count for _, _, count, _ in rows), default=0) or 1
    return [
        ChartRow(
            printable(name),
            kind,
            hues.get(name) if kind == "generator" else None,
            count,
            middle,
            count / largest,
        )
        for name, kind, count, middle in rows
    ]


def _kinds(cards: Sequence[Card]) -> dict[str, int]:
    counted = {
        kind: sum(1 for card in cards if card.kind == kind)
        for kind in ("generator", "unseen", "inconclusive", "failed", "cancelled")
    }
    return {kind: count for kind, count in counted.items() if count}
