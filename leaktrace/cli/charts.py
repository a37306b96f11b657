"""Charts as inline SVG: lines, scatters, heat maps and reliability bars, drawn with the page's own colours.

A chart is a string that needs no script and no request; colours are CSS variables, so light and dark both work. All
text from outside is escaped. Knows nothing of what is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 42
HUES = 10
CELL_WIDTH, CELL_HEIGHT, CELLS_LEFT, CELLS_TOP = 58, 30, 128, 26
SHORT_NAME = 7  # characters that fit above a column
LEGIBLE_STRENGTH = 0.62  # from here on a cell is dark enough for light text

Point = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """One curve or cloud: its name, its points in data units, its hue (0 to 9, or None for grey), a tooltip."""

    name: str
    points: Sequence[Point]
    hue: int | None = None
    dashed: bool = False
    hollow: bool = False
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Axis:
    """A range, where ticks stand, and what they say; `scale` bends data units before they are placed."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    scale: Scale = float

    def place(self, value: float) -> float:
        """Position along the axis, 0 to 1, cut off at its ends."""
        low, high = self.scale(self.low), self.scale(self.high)
        bent = self.scale(min(max(value, self.low), self.high))
        return (bent - low) / (high - low)


def tone(hue: int | None) -> str:
    """The CSS colour of a hue."""
    return "var(--inconclusive)" if hue is None else f"var(--h{hue % HUES})"


def shares(label: str) -> Axis:
    """An axis from 0 to 1 with a tick at every quarter."""
    return Axis(label, 0, 1, [(tick / 4, f"{tick / 4:.2f}".rstrip("0").rstrip(".")) for tick in range(5)])


def lines(series: Sequence[Series], *, x: Axis, y: Axis, label: str, diagonal: bool = False) -> Markup:
    """Curves over shared axes; thinner where there are many."""
    parts = [_frame(x, y)]
    if diagonal:
        parts.append(_path([(x.low, y.low), (x.high, y.high)], x=x, y=y, style="guide"))
    for one in series:
        style = "curve dashed" if one.dashed else "curve"
        drawn = _path(one.points, x=x, y=y, style=style, colour=tone(one.hue))
        parts.append(f"<g>{drawn}<title>{escape(one.name)}</title></g>")
    return _svg(parts, label=label)


def scatter(series: Sequence[Series], *, label: str, side: int = 620) -> Markup:
    """Clouds on a square map from -1 to 1 without axes; hollow squares stand apart from full dots."""
    parts = []
    for one in series:
        for index, (x, y) in enumerate(one.points):
            left, top = (x * 0.96 + 1) / 2 * side, (1 - y * 0.96) / 2 * side
            title = f"<title>{escape(one.titles[index])}</title>" if one.titles else ""
            parts.append(_mark(left, top, hollow=one.hollow, colour=tone(one.hue), title=title))
    return _svg(parts, label=label, width=side, height=side)


def heat(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, label: str
) -> Markup:
    """A table of cells (rows, columns) whose strength is value over the largest in the row; the value is written.

    Short column names stand above the cells, long ones slanted below.
    """
    slanted = any(len(name) > SHORT_NAME for name in columns)
    parts = []
    for row, name in enumerate(rows):
        middle = CELLS_TOP + (row + 0.5) * CELL_HEIGHT + 4
        where = f'x="{CELLS_LEFT - 10}" y="{middle}"'
        parts.append(f'<text class="tick" {where} text-anchor="end">{escape(name)}</text>')
        largest = max([*values[row], 1e-12])
        for column, value in enumerate(values[row]):
            parts.append(_cell(row, column, value=value, strength=value / largest))
    bottom = CELLS_TOP + len(rows) * CELL_HEIGHT
    for column, name in enumerate(columns):
        left = CELLS_LEFT + (column + 0.5) * CELL_WIDTH
        top = bottom + 14 if slanted else CELLS_TOP - 9
        turn = (
            f'transform="rotate(-38 {left} {top})" text-anchor="end"' if slanted else 'text-anchor="middle"'
        )
        parts.append(f'<text class="tick" x="{left}" y="{top}" {turn}>{escape(name)}</text>')
    width = CELLS_LEFT + len(columns) * CELL_WIDTH + 10
    return _svg(parts, label=label, width=width, height=bottom + (84 if slanted else 8), largest=1.15)


def _cell(row: int, column: int, *, value: float, strength: float) -> str:
    left, top = CELLS_LEFT + column * CELL_WIDTH, CELLS_TOP + row * CELL_HEIGHT
    box = f'x="{left + 1}" y="{top + 1}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" rx="5"'
    cell = f'<rect {box} class="cell" fill-opacity="{0.04 + 0.88 * strength:.3f}"/>'
    if not value:
        return cell
    written = f"{value:g}" if value == int(value) else f"{value:.2f}"
    style = "strong" if strength > LEGIBLE_STRENGTH else "weak"
    where = f'x="{left + CELL_WIDTH / 2}" y="{top + CELL_HEIGHT / 2 + 4}"'
    return f'{cell}<text class="{style}" {where} text-anchor="middle">{written}</text>'


def reliability(bins: Sequence[tuple[float, float, int]], *, label: str) -> Markup:
    """Bars of accuracy over confidence (confidence, accuracy, images) beside the diagonal of perfect calibration."""
    x, y = shares("confidence"), shares("accuracy")
    parts = [_frame(x, y), _path([(0, 0), (1, 1)], x=x, y=y, style="guide")]
    largest = max((count for *_, count in bins), default=1)
    for confidence, accuracy, count in bins:
        left, top = _left(x.place(confidence)), _top(y.place(accuracy))
        height = _top(0) - top
        opacity = 0.25 + 0.6 * count / largest
        title = f"<title>confidence {confidence:.2f}, accuracy {accuracy:.2f}, {count} images</title>"
        box = f'x="{left - 13:.1f}" y="{top:.1f}" width="26" height="{max(height, 0):.1f}" rx="4"'
        parts.append(f'<rect class="bar" {box} fill-opacity="{opacity:.2f}">{title}</rect>')
    return _svg(parts, label=label)


def ladder(
    levels: Sequence[str], values: Sequence[tuple[float, float, float]], *, base: float, label: str
) -> Markup:
    """A small curve over named levels with intervals (value, low, high), and a line at what was before."""
    width, height, low = 250, 150, 0.4
    axis = Axis("", low, 1, [])
    left = [34 + (width - 60) * (i + 0.5) / len(levels) for i in range(len(levels))]

    def top(value: float) -> float:
        return 10 + (height - 40) * (1 - axis.place(value))

    parts = [f'<path class="grid" d="M34 {top(tick):.1f}H{width - 16}"/>' for tick in (0.5, 0.75, 1.0)]
    parts += [
        f'<text class="tick" x="28" y="{top(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in (0.5, 1.0)
    ]
    parts.append(f'<path class="guide" d="M34 {top(base):.1f}H{width - 16}"/>')
    for x, (_, down, up) in zip(left, values, strict=True):
        parts.append(f'<path class="whisker" d="M{x:.1f} {top(down):.1f}V{top(up):.1f}"/>')
    trace = "L".join(f"{x:.1f} {top(value):.1f}" for x, (value, *_) in zip(left, values, strict=True))
    parts.append(f'<path class="curve" style="--tone:var(--accent)" d="M{trace}"/>')
    for x, name, (value, *_) in zip(left, levels, values, strict=True):
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{top(value):.1f}" r="4"><title>{value:.3f}</title></circle>'
        )
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{escape(name)}</text>'
        )
    return _svg(parts, label=label, width=width, height=height)


def _frame(x: Axis, y: Axis) -> str:
    parts = []
    for value, said in x.ticks:
        left = _left(x.place(value))
        parts.append(f'<path class="grid" d="M{left:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{left:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{said}</text>'
        )
    for value, said in y.ticks:
        top = _top(y.place(value))
        parts.append(f'<path class="grid" d="M{LEFT} {top:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{top + 4:.1f}" text-anchor="end">{said}</text>')
    middle, side = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="name" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x.label)}</text>'
    )
    turned = f'transform="rotate(-90 12 {side})"'
    parts.append(
        f'<text class="name" x="12" y="{side}" {turned} text-anchor="middle">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _path(points: Sequence[Point], *, x: Axis, y: Axis, style: str, colour: str = "") -> str:
    steps = "L".join(f"{_left(x.place(a)):.1f} {_top(y.place(b)):.1f}" for a, b in points)
    tinted = f' style="--tone:{colour}"' if colour else ""
    return f'<path class="{style}"{tinted} d="M{steps}"/>' if steps else ""


def _mark(left: float, top: float, *, hollow: bool, colour: str, title: str) -> str:
    if hollow:
        box = f'x="{left - 4:.1f}" y="{top - 4:.1f}" width="8" height="8" rx="1.5"'
        return f'<rect class="hollow" style="--tone:{colour}" {box}>{title}</rect>'
    return f'<circle class="point" style="--tone:{colour}" cx="{left:.1f}" cy="{top:.1f}" r="4.6">{title}</circle>'


def _left(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _top(place: float) -> float:
    return TOP + (1 - place) * (HEIGHT - TOP - BOTTOM)


def _svg(
    parts: Sequence[str], *, label: str, width: float = WIDTH, height: float = HEIGHT, largest: float = 1.5
) -> Markup:
    """`largest` is how many times its own size the chart may grow to fill its place."""
    room = f'viewBox="0 0 {width:g} {height:g}" style="max-width:{width * largest:g}px"'
    head = f'<svg class="plot" {room} role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 - numbers, and text that was escaped above
