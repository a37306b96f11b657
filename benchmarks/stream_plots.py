"""The plots of the stream simulation, drawn with the charts of the evaluation report and made to stand alone.

An SVG that a page shows as a picture has no style sheet but its own, so each brings one, with a title and a legend.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from benchmarks.stream_service import Change
from leaktrace.cli.charts import HEIGHT, WIDTH, Axis, Series, lines, shares

STYLE = """
svg { font: 12px system-ui, "DejaVu Sans", sans-serif; }
.card { fill: #ffffff; stroke: #d9dee5; } .title { font-size: 15px; font-weight: 600; fill: #17202b; }
.said { fill: #566173; } .tick { fill: #6b7585; font-size: 11px; } .name { fill: #3b4552; }
.grid { stroke: #e8ebf0; fill: none; } .guide { stroke: #9aa4b2; stroke-dasharray: 4 4; fill: none; }
.curve { stroke: var(--tone); stroke-width: 2.2; fill: none; stroke-linejoin: round; }
.dashed { stroke-dasharray: 6 4; } .key { stroke-width: 3; stroke-linecap: round; }
:root { --h0: #2563eb; --h1: #d9480f; --h2: #0f8a5f; --h3: #8b5cf6; --inconclusive: #98a2b3; }
"""
COLOURS = ("#2563eb", "#d9480f", "#0f8a5f", "#8b5cf6")
GREY = "#98a2b3"
HEAD, EDGE, LEGEND_ROW = 62, 18, 24

Floats = NDArray[np.float64]


def plot_delay(answers: Mapping[str, Floats]) -> str:
    """What is said of a new generator's images, by days since it appeared."""
    hues = {"its name": 2, "unseen": 0, "inconclusive": None, "a known name": 1}
    series = [
        Series(name, [(age, value) for age, value in enumerate(_smooth(values))], hue=hues[name])
        for name, values in answers.items()
    ]
    last = len(next(iter(answers.values()))) - 1
    x = Axis("days since its first image", 0, last, [(tick, f"{tick}") for tick in range(0, last + 1, 10)])
    drawn = lines(series, x=x, y=shares("share of its images"), label="answers by age")
    return _standalone(
        str(drawn),
        series,
        title="What is said of a new generator's images",
        said="unseen from the first day; its own name once a person enrolled it",
    )


def plot_false_alarms(alphas: Sequence[float], rates: Floats) -> str:
    """False alarms of known generators (seeds, alphas) against the alpha that was promised."""
    top = max(alphas)
    ticks = [(tick, f"{tick:g}") for tick in (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3) if tick <= top]
    series = [
        Series("one seed" if seed == 0 else "", list(zip(alphas, row, strict=True)), hue=None, dashed=True)
        for seed, row in enumerate(rates)
    ]
    series.append(Series("mean", list(zip(alphas, rates.mean(axis=0), strict=True)), hue=0))
    drawn = lines(
        series,
        x=Axis("alpha that was promised", 0, top, ticks),
        y=Axis("known images called unseen", 0, top, ticks),
        label="false alarms against alpha",
        diagonal=True,
    )
    return _standalone(
        str(drawn),
        series,
        title="False alarms against the alpha that was promised",
        said="diagonal: exactly alpha; every seed has a calibration of its own",
    )


def plot_attack(figures: Mapping[int, Mapping[str, float]]) -> str:
    """What an attacker in the same tenant changes, by the images that it sends a day."""
    names = {
        "purity": ("purity of what was enrolled", 2),
        "enrolled": ("new generators enrolled", 0),
        "share": ("attacker's share of the quarantine", 1),
        "false alarms": ("false alarms", None),
    }
    series = [
        Series(said, [(attack, figures[attack][key]) for attack in figures], hue=hue)
        for key, (said, hue) in names.items()
    ]
    x = Axis(
        "crafted images a day (logarithmic)",
        0,
        max(figures),
        [(attack, f"{attack:,}") for attack in figures],
        scale=lambda value: math.log10(value + 3),
    )
    drawn = lines(series, x=x, y=shares("share"), label="an attacker's effect")
    return _standalone(
        str(drawn),
        series,
        title="An attacker inside the tenant",
        said="half of its images are near copies of one picture, the others are not",
    )


def plot_costs(changes: Sequence[Change]) -> str:
    """Seconds of a change, gates included, by the size of the density that it makes."""
    largest = max(change.known_images for change in changes) * 1.05
    slowest = max(change.seconds for change in changes) * 1.15
    series = []
    for kind, hue in (("refit", 0), ("enrolment", 2)):
        for failed in (False, True):
            own = sorted(
                (change.known_images, change.seconds)
                for change in changes
                if change.kind == kind and bool(change.failed) == failed
            )
            name = f"{kind}, refused by a gate" if failed else kind
            series.append(Series(name, own, hue=hue if not failed else hue + 1, hollow=failed))
    x = Axis("known images in the density", 0, largest, _ticks(largest))
    y = Axis("seconds, gates included", 0, slowest, _ticks(slowest))
    frame = str(lines([], x=x, y=y, label="cost of refits"))
    dots = "".join(_dot(point, one, x=x, y=y) for one in series for point in one.points)
    present = [one for one in series if one.points]
    return _standalone(
        frame.replace("</svg>", f"{dots}</svg>"),
        present,
        title="What enrolments and refits cost",
        said="each dot is one change, decided on one core",
    )


def _dot(point: tuple[float, float], series: Series, *, x: Axis, y: Axis) -> str:
    left = 50 + x.place(point[0]) * (WIDTH - 64)
    top = 12 + (1 - y.place(point[1])) * (HEIGHT - 54)
    fill = "#ffffff" if series.hollow else _colour(series)
    return f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4" fill="{fill}" fill-opacity=".75" stroke="{_colour(series)}"/>'


def _ticks(top: float) -> list[tuple[float, str]]:
    step = 10 ** math.floor(math.log10(top))
    step = next(step * part for part in (0.2, 0.5, 1.0) if top / (step * part) <= 6 or part == 1.0)
    return [(tick * step, f"{tick * step:,.4g}") for tick in range(int(top / step) + 1)]


def _smooth(values: Floats, *, days: int = 3) -> Floats:
    padded = np.pad(values, days // 2, mode="edge")
    return np.convolve(padded, np.ones(days) / days, mode="valid")


def _colour(series: Series) -> str:
    return GREY if series.hue is None else COLOURS[series.hue % len(COLOURS)]


def _standalone(chart: str, series: Sequence[Series], *, title: str, said: str) -> str:
    """The chart as an SVG file on a white card, with a title above and a legend below."""
    inner = chart[chart.index(">") + 1 : chart.rindex("</svg>")]
    width = WIDTH + 2 * EDGE
    legend, rows = _legend([one for one in series if one.name], width=width)
    height = HEAD + HEIGHT + EDGE + rows * LEGEND_ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect class="card" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>'
        f'<text class="title" x="{EDGE + 6}" y="30">{escape(title)}</text>'
        f'<text class="said" x="{EDGE + 6}" y="50">{escape(said)}</text>'
        f'<g transform="translate({EDGE} {HEAD})">{inner}</g>{legend}</svg>\n'
    )


def _legend(series: Sequence[Series], *, width: int) -> tuple[str, int]:
    """Keys and names below the chart, and in how many rows."""
    parts, left, row = [], float(EDGE + 6), 1
    for one in series:
        wide = 36 + 6.4 * len(one.name)
        if left + wide > width:
            left, row = float(EDGE + 6), row + 1
        top = HEAD + HEIGHT + row * LEGEND_ROW - 4
        dash = ' stroke-dasharray="5 5"' if one.dashed else ""
        parts.append(f'<path class="key" stroke="{_colour(one)}"{dash} d="M{left} {top - 4}h16"/>')
        parts.append(f'<text class="said" x="{left + 22}" y="{top}">{escape(one.name)}</text>')
        left += wide
    return "".join(parts), row
