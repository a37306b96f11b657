"""Lets a shard that may kill the process run alone in it, so that no other shard is counted as guilty with it.

Shards without a death run side by side; a suspect waits until they are done and holds up the next ones meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Solitude:
    """A shared or exclusive right to work; those who want to be alone come first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._wishes = 0  # suspects that wait or run

    @contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        """Wait for the right, hold it during the block."""
        with self._changed:
            self._wishes += alone
            self._changed.wait_for(lambda: self._running == 0 if alone else self._wishes == 0)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._wishes -= alone
                self._changed.notify_all()
