"""The numbers of the progress bar, and how they are shown."""

from io import StringIO

import pytest
from rich.console import Console

from leaktrace.cli.progress import LiveLine, LogLines, Tally, shown_progress
from leaktrace.client import Batch


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def batch(*, total: int, succeeded: int) -> Batch:
    counts = {"total": total, "succeeded": succeeded, "pending": total - succeeded}
    return Batch.model_validate(
        {"id": "b", "state": "in_progress", "counts": counts, "created_at": "2026-01-05T09:30:00Z"}
    )


def attributing(clock: Clock, *, total: int, succeeded: int, seconds: float) -> Tally:
    """A tally some seconds after the upload ended."""
    tally = Tally(total=total, clock=clock)
    for _ in range(total):
        tally.file_answered()
    tally.upload_ended()
    clock.now += seconds
    tally.batch_seen(batch(total=total, succeeded=succeeded))
    return tally


def test_rate_counts_attributed_images(clock: Clock) -> None:
    assert attributing(clock, total=100, succeeded=50, seconds=5).rate == 10.0


def test_time_left_follows_rate(clock: Clock) -> None:
    assert attributing(clock, total=100, succeeded=20, seconds=4).seconds_left == 16.0


def test_no_time_left_before_first_image(clock: Clock) -> None:
    assert attributing(clock, total=100, succeeded=0, seconds=4).seconds_left is None


def test_upload_shows_its_own_rate(clock: Clock) -> None:
    tally = Tally(total=10, clock=clock)
    tally.file_answered()
    clock.now += 0.5
    assert tally.rate == 2.0


def test_words_hold_all_numbers(clock: Clock) -> None:
    words = attributing(clock, total=100, succeeded=50, seconds=100).words()
    assert words == "uploaded 100/100 · attributed 50/100 · 0.5 images/s · 1:40 left"


def test_unknown_total_is_said(clock: Clock) -> None:
    assert Tally(total=None, clock=clock).words().startswith("uploaded 0/?")


@pytest.mark.parametrize("width", [20, 60, 100, 200])
def test_line_fits_the_terminal(clock: Clock, width: int) -> None:
    tally = attributing(clock, total=100, succeeded=50, seconds=5)
    console = Console(width=width, file=StringIO(), record=True)
    console.print(LiveLine(tally))
    (line,) = console.export_text().splitlines()
    assert len(line) <= width


def test_log_has_no_control_codes(clock: Clock) -> None:
    written = StringIO()
    with shown_progress(Console(file=written), Tally(total=1, clock=clock)) as changed:
        changed()
    assert "\x1b" not in written.getvalue()


def test_log_is_not_flooded(clock: Clock) -> None:
    written = StringIO()
    tally = Tally(total=100, clock=clock)
    lines = LogLines(Console(file=written), tally)
    for _ in range(100):
        tally.file_answered()
        clock.now += 0.1
        lines.look()
    assert len(written.getvalue().splitlines()) == 2 - (written.getvalue().count("\n") < 2)


def test_log_ends_with_last_numbers(clock: Clock) -> None:
    written = StringIO()
    tally = Tally(total=2, clock=clock)
    with shown_progress(Console(file=written), tally):
        tally.file_answered()
    assert "uploaded 1/2" in written.getvalue().splitlines()[-1]
