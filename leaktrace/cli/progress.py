"""Shows how a batch is getting on: one live line on a terminal, a line now and then in a log.

Both show the same numbers: uploaded, attributed, images per second, time left. Knows nothing of how they come about.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from leaktrace.client import Batch

LOG_INTERVAL_SECONDS = 5.0
REFRESHES_PER_SECOND = 10
NARROWEST_BAR, WIDEST_BAR = 8, 40


@dataclass
class Tally:
    """The numbers. `total` is None while the length of an archive is unknown."""

    total: int | None
    uploaded: int = 0
    attributed: int = 0
    state: str = "uploading"
    clock: Callable[[], float] = time.monotonic
    _began: dict[str, float] = field(default_factory=dict)

    def file_answered(self) -> None:
        """One more file has been uploaded, or refused."""
        self._began.setdefault("upload", self.clock())
        self.uploaded += 1

    def upload_ended(self) -> None:
        """All files have been answered."""
        self.total = self.uploaded
        self._began.setdefault("attribution", self.clock())

    def batch_seen(self, batch: "Batch") -> None:
        """The service told the state of the batch."""
        self.state = batch.state
        self.attributed = batch.counts.settled
        self.total = batch.counts.total

    @property
    def rate(self) -> float | None:
        """Images per second of what is going on now; None before the first."""
        phase, done = (
            ("attribution", self.attributed) if "attribution" in self._began else ("upload", self.uploaded)
        )
        elapsed = self.clock() - self._began.get(phase, self.clock())
        return done / elapsed if done and elapsed > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Until all is attributed, at the present rate; None while that cannot be said."""
        if "attribution" not in self._began or not self.rate or self.total is None:
            return None
        return (self.total - self.attributed) / self.rate

    def words(self) -> str:
        """All numbers in one line."""
        total = "?" if self.total is None else str(self.total)
        rate = "" if self.rate is None else f" · {self.rate:.1f} images/s"
        left = "" if not self.seconds_left else f" · {_clock_time(self.seconds_left)} left"
        return f"uploaded {self.uploaded}/{total} · attributed {self.attributed}/{total}{rate}{left}"


class LiveLine:
    """The tally as a bar in two tones, uploaded and attributed, with its numbers beside it."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __rich_console__(self, console: "Console", _options: object) -> "Iterator[RenderableType]":
        from rich.text import Text

        words = self.tally.words()
        room = console.width - len(words) - 3
        line = Text()
        if room >= NARROWEST_BAR:
            line.append_text(self._bar(min(room, WIDEST_BAR)))
            line.append("  ")
        line.append(words)
        line.truncate(console.width, overflow="ellipsis")
        yield line

    def _bar(self, width: int) -> "Text":
        from rich.text import Text

        total = self.tally.total or max(1, 2 * self.tally.uploaded)
        attributed = round(width * min(1.0, self.tally.attributed / total)) if self.tally.total else 0
        uploaded = max(attributed, round(width * min(1.0, self.tally.uploaded / total)))
        return Text.assemble(
            ("━" * attributed, "green"),
            ("━" * (uploaded - attributed), "cyan"),
            ("─" * (width - uploaded), "bright_black"),
        )


class LogLines:
    """Prints the tally when something has changed, at most every few seconds."""

    def __init__(self, console: "Console", tally: Tally) -> None:
        self._console, self._tally = console, tally
        self._printed, self._printed_at = "", tally.clock()

    def look(self) -> None:
        """To be called whenever the tally may have changed."""
        if self._tally.clock() - self._printed_at >= LOG_INTERVAL_SECONDS:
            self.write()

    def write(self) -> None:
        """Print now, unless it would say the same again."""
        words = self._tally.words()
        if words != self._printed:
            self._console.print(words, soft_wrap=True)
        self._printed, self._printed_at = words, self._tally.clock()


@contextmanager
def shown_progress(console: "Console", tally: Tally) -> Iterator[Callable[[], None]]:
    """Show the tally while the block runs; call what is given whenever it has changed."""
    if not console.is_terminal:
        lines = LogLines(console, tally)
        yield lines.look
        lines.write()
        return
    from rich.live import Live

    with Live(LiveLine(tally), console=console, refresh_per_second=REFRESHES_PER_SECOND):
        yield lambda: None


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
