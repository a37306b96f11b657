"""The one flag that says that this process is ending, with the moment until which begun work may still finish.

Set from a signal handler, so it does nothing but set it.
"""

import os
import signal
import threading
import time

DRAIN_SECONDS = 5.0
GRACE_SECONDS = 20.0
EX_SOFTWARE = 70


class Halting(Exception):
    """The process is ending and the work at hand would take too long: give it back."""


class Halt:
    """`begin` once; everything that waits looks here."""

    def __init__(self, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._event = threading.Event()
        self._drain_seconds = drain_seconds
        self._deadline = float("inf")

    @property
    def begun(self) -> bool:
        """Whether no new work should be taken."""
        return self._event.is_set()

    @property
    def drained(self) -> bool:
        """Whether the time for finishing begun work is over."""
        return time.monotonic() >= self._deadline

    def begin(self) -> None:
        """Take no more work from now on, and finish what was begun within the drain time."""
        if not self.begun:
            self._deadline = time.monotonic() + self._drain_seconds
            self._event.set()

    def end_process(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Stop this process as a supervisor would, with force if it hangs; whoever started it starts another."""
        force = threading.Timer(grace_seconds, os._exit, [EX_SOFTWARE])
        force.daemon = True
        force.start()
        os.kill(os.getpid(), signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the halt begins; says whether it has begun."""
        return self._event.wait(seconds)
