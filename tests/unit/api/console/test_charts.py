"""Geometry of charts: columns fill their box, and what failed stands on what was done."""

from datetime import UTC, datetime, timedelta

import pytest

from api.console.charts import draw_curve, draw_spans, phases_of, round_up, stack_bars
from leaktrace.records.density_models import DensityVersion


@pytest.mark.parametrize(("number", "top"), [(0, 10), (10, 10), (11, 20), (99, 100), (101, 200), (501, 1000)])
def test_axis_ends_on_round_number(number: int, top: int) -> None:
    assert round_up(number) == top


def test_failed_stands_on_done() -> None:
    (bar,) = stack_bars([(15, 5, "09:30")]).bars
    assert (bar.done_y, bar.done_height, bar.failed_y, bar.failed_height) == (25.0, 75.0, 0.0, 25.0)


def test_empty_minutes_have_no_height() -> None:
    assert {bar.done_height for bar in stack_bars([(0, 0, "a"), (0, 0, "b")]).bars} == {0.0}


NOW = datetime(2026, 1, 11, tzinfo=UTC)
DAY = timedelta(days=1)


def density(**moments: datetime | None) -> DensityVersion:
    given = {"shadowed_at": None, "activated_at": None, "retired_at": None, **moments}
    return DensityVersion(version="x", **given)


def test_phases_follow_one_another() -> None:
    found = density(
        created_at=NOW - 4 * DAY, shadowed_at=NOW - 3 * DAY, activated_at=NOW - 2 * DAY, retired_at=NOW - DAY
    )
    assert [(each.state, each.until) for each in phases_of(found, now=NOW)] == [
        ("candidate", NOW - 3 * DAY),
        ("shadow", NOW - 2 * DAY),
        ("active", NOW - DAY),
    ]


def test_active_density_lasts_until_now() -> None:
    (phase,) = phases_of(density(created_at=NOW - DAY, activated_at=NOW - DAY), now=NOW)
    assert (phase.state, phase.until) == ("active", NOW)


def test_spans_stay_on_the_line() -> None:
    phases = phases_of(density(created_at=NOW - 20 * DAY, activated_at=NOW - timedelta(seconds=1)), now=NOW)
    spans = draw_spans(phases, since=NOW - 10 * DAY, now=NOW)
    assert [(each.state, each.x) for each in spans] == [("candidate", 0.0), ("active", 99.4)]
    assert all(each.x + each.width <= 100 for each in spans)


def test_curve_marks_what_is_beyond() -> None:
    curve = draw_curve([(0.0, False), (0.1, True), (0.05, False)], bound=0.08)
    assert (curve.points, curve.bound_y, curve.beyond) == ("0.0,40.0 50.0,0.0 100.0,20.0", 8.0, [(50.0, 0.0)])


def test_single_look_is_a_level_line() -> None:
    assert draw_curve([(0.0, False)], bound=0.1).points == "0.0,40.0 100.0,40.0"
