"""How long to leave a server alone that was away: doubling with jitter, shared by all threads of the process.

Knows nothing of which server it was: a worker can do nothing without any one of them.
"""

import random
import threading

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 15.0


class Backoff:
    """Counts failures in a row."""

    def __init__(
        self, *, first_seconds: float = FIRST_DELAY_SECONDS, longest_seconds: float = LONGEST_DELAY_SECONDS
    ) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._failures = 0
        self._lock = threading.Lock()

    def fail(self) -> float:
        """Note one more failure; returns the seconds to wait."""
        with self._lock:
            self._failures += 1
        return self.delay()

    def succeed(self) -> None:
        """The servers are back."""
        with self._lock:
            self._failures = 0

    def delay(self) -> float:
        """Seconds to wait now: 0 after a success, else between half and the whole of a doubling delay."""
        if self._failures == 0:
            return 0.0
        whole = min(self._longest, self._first * 2.0 ** min(self._failures - 1, 16))
        return random.uniform(whole / 2, whole)
