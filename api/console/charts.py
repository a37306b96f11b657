"""The geometry of the console's charts: numbers in, coordinates out; templates draw them as SVG.

Coordinates are in a box of the chart's own that the page stretches, so words stand beside the drawing and not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10

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
