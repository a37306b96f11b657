"""The HTML page of an evaluation: one file with everything in it, which opens without a network and runs no script.

One section a model, from its run as `leaktrace evaluate --json` writes it; the image files are read only for the
thumbnails of the worst mistakes. The template escapes all text. Knows nothing of how a figure is computed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from scipy.special import ndtri

from leaktrace.cli import charts
from leaktrace.cli.charts import Axis, Series
from leaktrace.cli.evaluation_curves import attention_rows, class_curves, reliability_bins, unseen_curves
from leaktrace.cli.evaluation_tables import CLOSED, EXPLAINED, FLAGGED, OPEN
from leaktrace.cli.terminal import printable
from leaktrace.cli.thumbnails import thumbnail
from leaktrace.client.files import UploadFile
from leaktrace.science.training.answers import Answers
from leaktrace.science.training.runs import answers_of_run

TEMPLATES = Path(__file__).parent / "templates"
WORST = 12
DET_TICKS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
DET_RANGE = (0.004, 0.9)


@dataclass(frozen=True)
class Mistake:
    """A known image that was named wrongly, or an unseen one that was named at all."""

    file: str
    truth: str
    predicted: str
    share: float
    thumbnail: str | None


@dataclass(frozen=True)
class Page:
    """All that the template is given of one model; charts are SVG."""

    run: Mapping[str, Any]
    plots: Mapping[str, Markup]
    legend: Sequence[tuple[str, str, bool]]  # name, colour, unseen
    mistakes: Sequence[Mistake]
    robustness: Sequence[tuple[str, str, Markup]] = field(default=())


def build_page(runs: Sequence[dict[str, Any]], data: Path) -> str:
    """The page of one or several models on the same data, as text."""
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["figure"] = figure
    root = data if data.is_dir() else data.parent
    return environment.get_template("evaluation.html").render(
        pages=[_page(run, root) for run in runs],
        title=printable(data.name),
        made_at=datetime.now(UTC),
        closed=CLOSED,
        explained=EXPLAINED,
        open=OPEN | {f"{FLAGGED}{alpha}": f"p ≤ {alpha}" for alpha in ("0.05", "0.01")},
    )


def figure(found: Mapping[str, float] | None) -> Markup:
    """A figure with its interval in small type; a dash where there is none."""
    if not found:
        return Markup("–")
    text = Markup("<b>{}</b> <small>{}–{}</small>")
    return text.format(f"{found['value']:.3f}", f"{found['low']:.2f}", f"{found['high']:.2f}")


def _page(run: dict[str, Any], root: Path) -> Page:
    answers = answers_of_run(run)
    hues = _hues(answers)
    legend = [(name, charts.tone(hue), name not in answers.classes) for name, hue in hues.items()]
    return Page(run, _plots(run, answers, hues=hues), legend, _mistakes(run, root), _curves(run))


def _hues(answers: Answers) -> dict[str, int]:
    """Known generators first, then unseen ones; hues come round again after ten, with another mark."""
    present = set(answers.truths.generators.tolist())
    known = [name for name in answers.classes if name in present]
    unseen = sorted(present - set(known))
    return {name: index % charts.HUES for names in (known, unseen) for index, name in enumerate(names)}


def _plots(run: dict[str, Any], answers: Answers, *, hues: Mapping[str, int]) -> dict[str, Markup]:
    plots = {"map": _map(run, answers, hues=hues), "attention": _attention(run)}
    if run["closed_set"] is not None:
        x, y = charts.shares("false positive rate"), charts.shares("true positive rate")
        curves = _series(class_curves(answers), hues=hues)
        plots["roc"] = charts.lines(curves, x=x, y=y, diagonal=True, label="ROC of each class")
        plots["reliability"] = charts.reliability(reliability_bins(answers), label="reliability diagram")
        table = run["closed_set"]["confusion"]
        plots["confusion"] = charts.heat(
            table["classes"], table["classes"], table["counts"], label="confusion: truths in rows"
        )
    if run["open_set"]:
        curves = _series(unseen_curves(answers), hues=hues)
        x, y = charts.shares("known called unseen"), charts.shares("unseen found")
        plots["open_roc"] = charts.lines(curves, x=x, y=y, diagonal=True, label="ROC of novelty")
        missed = [Series(one.name, [(a, 1 - b) for a, b in one.points], one.hue) for one in curves]
        x, y = _probit("known called unseen"), _probit("unseen missed")
        plots["det"] = charts.lines(missed, x=x, y=y, diagonal=False, label="DET of novelty")
    return plots


def _series(curves: Mapping[str, Sequence[tuple[float, float]]], *, hues: Mapping[str, int]) -> list[Series]:
    return [Series(name, points, hues[name]) for name, points in curves.items()]


def _probit(label: str) -> Axis:
    return Axis(label, *DET_RANGE, [(tick, f"{tick:g}") for tick in DET_TICKS], lambda p: float(ndtri(p)))


def _map(run: Mapping[str, Any], answers: Answers, *, hues: Mapping[str, int]) -> Markup:
    series = []
    for name, hue in hues.items():
        placed = [record for record in run["records"] if record["truth"] == name and record["map"]]
        points = [(float(record["map"][0]), float(record["map"][1])) for record in placed]
        titles = [printable(f"{record['file']}: {record['predicted']}") for record in placed]
        series.append(Series(name, points, hue, hollow=name not in answers.classes, titles=titles))
    return charts.scatter(series, label="map of the embeddings")


def _attention(run: Mapping[str, Any]) -> Markup:
    rows = attention_rows(run)
    steps = [f"t {step}" for step in run["steps"]]
    return charts.heat(list(rows), steps, list(rows.values()), label="mean attention over the steps")


def _curves(run: Mapping[str, Any]) -> list[tuple[str, str, Markup]]:
    """One small curve of macro AUC an operator, if the run has any."""
    found = run.get("robustness")
    if not found:
        return []
    base = found["untouched"]["macro_auc"]["value"]
    drawn = []
    for name, curve in found["curves"].items():
        values = [
            tuple(point["macro_auc"][key] for key in ("value", "low", "high")) for point in curve["points"]
        ]
        levels = [f"{point['level']:g}" for point in curve["points"]]
        plot = charts.ladder(levels, values, base=base, label=f"macro AUC under {name}")
        drawn.append((name, curve["unit"], plot))
    return drawn


def _mistakes(run: Mapping[str, Any], root: Path) -> list[Mistake]:
    """Images of known generators that were named wrongly with the greatest certainty."""
    wrong = [
        record for record in run["records"] if record["known"] and record["predicted"] != record["truth"]
    ]
    wrong.sort(key=lambda record: -record["probabilities"][record["predicted"]])
    return [
        Mistake(
            file=printable(record["file"]),
            truth=record["truth"],
            predicted=record["predicted"],
            share=record["probabilities"][record["predicted"]],
            thumbnail=_thumbnail(root / record["file"]),
        )
        for record in wrong[:WORST]
    ]


def _thumbnail(path: Path) -> str | None:
    try:
        return thumbnail(UploadFile.from_path(path))
    except OSError:
        return None
