"""Whether this process gets anywhere, told apart from whether it is alive, and the file that says so.

A worker can be alive and silent: its consumer may not come back after the broker was away, or a device may hang. So
the file is touched while there is nothing to do or something was done lately, and a liveness probe checks its age:
`python -m worker.progress FILE [SECONDS]` exits 1 when the file is older.
"""

import sys
import threading
import time
from pathlib import Path

STALLED_AFTER_SECONDS = 300.0
PROBE_AFTER_SECONDS = 120.0


class Progress:
    """`note` whenever something was done; `report` at every heartbeat."""

    def __init__(self, path: Path | None, *, stalled_after_seconds: float = STALLED_AFTER_SECONDS) -> None:
        self._path = path
        self._stalled_after = stalled_after_seconds
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def note(self) -> None:
        """Something was done: an image prepared or attributed, a shard claimed or saved."""
        with self._lock:
            self._last = time.monotonic()

    def report(self, *, work_waits: bool) -> bool:
        """Touch the file unless there is work and none was done for long; says whether all is well."""
        if not work_waits:
            self.note()
        with self._lock:
            idle_seconds = time.monotonic() - self._last
        if idle_seconds > self._stalled_after:
            return False
        if self._path is not None:
            self._path.touch()
        return True


def is_recent(path: Path, *, within_seconds: float) -> bool:
    """Whether the worker that owns the file made progress, or had nothing to do, within the time."""
    try:
        return time.time() - path.stat().st_mtime <= within_seconds
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else PROBE_AFTER_SECONDS
    sys.exit(0 if is_recent(Path(sys.argv[1]), within_seconds=seconds) else 1)
