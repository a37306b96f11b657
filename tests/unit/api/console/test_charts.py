"""Geometry of charts: columns fill their box, and what failed stands on what was done."""

import pytest

from api.console.charts import round_up, stack_bars


@pytest.mark.parametrize(("number", "top"), [(0, 10), (10, 10), (11, 20), (99, 100), (101, 200), (501, 1000)])
def test_axis_ends_on_round_number(number: int, top: int) -> None:
    assert round_up(number) == top


def test_failed_stands_on_done() -> None:
    (bar,) = stack_bars([(15, 5, "09:30")]).bars
    assert (bar.done_y, bar.done_height, bar.failed_y, bar.failed_height) == (25.0, 75.0, 0.0, 25.0)


def test_empty_minutes_have_no_height() -> None:
    assert {bar.done_height for bar in stack_bars([(0, 0, "a"), (0, 0, "b")]).bars} == {0.0}
