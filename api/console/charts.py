"""The geometry of the console's charts: numbers in, coordinates out; templates draw them as SVG.

Coordinates are in a box of the chart's own that the page stretches, so words stand beside the drawing and not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, log10

from leaktrace.records.density_models import DensityVersion

BAR_HEIGHT = 100.0
BAR_SHARE = 0.8  # of a bar's place; the rest is the gap


@dataclass(frozen=True)
class Bar:
    """One column: what failed stands on what was done. `label` says it in words."""

    x: float
    done_y: float
    done_height: float
    failed_y: float
    failed_height: float
    label: str


@dataclass(frozen=True)
class BarChart:
    """Columns in a box of `width` by 100, the topmost line of which is worth `top`."""

    bars: list[Bar]
    width: float
    top: int
    bar_width: float = BAR_SHARE


def stack_bars(columns: Sequence[tuple[int, int, str]]) -> BarChart:
    """A column for each (done, failed, label), from left to right."""
    top = round_up(max((done + failed for done, failed, _ in columns), default=0))
    bars = []
    for place, (done, failed, label) in enumerate(columns):
        done_height, failed_height = BAR_HEIGHT * done / top, BAR_HEIGHT * failed / top
        done_y = BAR_HEIGHT - done_height
        bars.append(
            Bar(
                x=round(place + (1 - BAR_SHARE) / 2, 2),
                done_y=round(done_y, 2),
                done_height=round(done_height, 2),
                failed_y=round(done_y - failed_height, 2),
                failed_height=round(failed_height, 2),
                label=label,
            )
        )
    return BarChart(bars, width=float(len(columns)), top=top)


def round_up(number: float) -> int:
    """The next of 10, 20, 50, 100, 200, 500, ... that is not less."""
    if number <= 10:
        return 10
    power: int = 10 ** int(log10(number))
    return next(step * power for step in (1, 2, 5, 10) if ceil(number) <= step * power)


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which a density was in one state."""

    state: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Span:
    """A phase as a stretch of a line that is 100 long."""

    x: float
    width: float
    state: str
    label: str


LEAST_SPAN = 0.6  # of 100: so that a phase of seconds is seen


def phases_of(density: DensityVersion, *, now: datetime) -> list[Phase]:
    """What the density was and when, as far as its row tells: a second activation is not in it."""
    moments = [
        ("candidate", density.created_at),
        ("shadow", density.shadowed_at),
        ("active", density.activated_at),
    ]
    begun = [(state, at) for state, at in moments if at is not None]
    ends = [at for _, at in begun[1:]] + [density.retired_at or now]
    phases = [Phase(state, at, until) for (state, at), until in zip(begun, ends, strict=True)]
    return [phase for phase in phases if phase.until > phase.since]


def draw_spans(phases: Sequence[Phase], *, since: datetime, now: datetime) -> list[Span]:
    """The phases on a line from `since` to `now`; what began before is cut off."""
    whole = max((now - since).total_seconds(), 1.0)
    spans = []
    for phase in phases:
        first = max(0.0, 100 * (phase.since - since).total_seconds() / whole)
        last = min(100.0, 100 * (phase.until - since).total_seconds() / whole)
        if last <= 0:
            continue
        width = max(last - first, LEAST_SPAN)
        label = f"{phase.state} from {phase.since:%Y-%m-%d %H:%M} to {phase.until:%Y-%m-%d %H:%M} UTC"
        spans.append(Span(round(min(first, 100 - width), 2), round(width, 2), phase.state, label))
    return spans


@dataclass(frozen=True)
class Curve:
    """A line in a box of 100 by 40: its points as SVG writes them, the height of its bound, and where it was beyond."""

    points: str
    bound_y: float
    beyond: list[tuple[float, float]]


CURVE_HEIGHT = 40.0
ROOM_ABOVE = 1.25  # of the bound, at least


def draw_curve(values: Sequence[tuple[float, bool]], *, bound: float) -> Curve:
    """A curve through (value, whether it is beyond), evenly spaced; a single value is a level line."""
    top = max([bound * ROOM_ABOVE, *(value for value, _ in values)]) or 1.0
    step = 100 / max(1, len(values) - 1)

    def place(index: int, value: float) -> tuple[float, float]:
        return round(index * step, 2), round(CURVE_HEIGHT * (1 - max(0.0, value) / top), 2)

    places = [place(index, value) for index, (value, _) in enumerate(values)]
    drawn = places if len(places) > 1 else [(0.0, y) for _, y in places] + [(100.0, y) for _, y in places]
    return Curve(
        points=" ".join(f"{x},{y}" for x, y in drawn),
        bound_y=round(CURVE_HEIGHT * (1 - bound / top), 2),
        beyond=[at for at, (_, is_beyond) in zip(places, values, strict=True) if is_beyond],
    )
