"""The liveness probe of a worker that idles, and of one that stands still."""

import os
import signal
from pathlib import Path

from tests.faults.conftest import Processes
from tests.submissions import wait_until
from worker.progress import is_recent

HEARTBEATS_SECONDS = 5.0


def test_probe_notices_standstill(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "progress"
    worker = processes.worker(LEAKTRACE_PROGRESS_PATH=str(path))
    wait_until(lambda: is_recent(path, within_seconds=HEARTBEATS_SECONDS))
    os.kill(worker.pid, signal.SIGSTOP)
    wait_until(lambda: not is_recent(path, within_seconds=HEARTBEATS_SECONDS))
    os.kill(worker.pid, signal.SIGCONT)
    wait_until(lambda: is_recent(path, within_seconds=HEARTBEATS_SECONDS))
    assert worker.is_alive()
