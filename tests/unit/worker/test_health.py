"""Progress and its probe, backing off, and the halt: what keeps a process honest about itself."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.backoff import Backoff
from worker.halt import Halt
from worker.progress import Progress, is_recent

ROOT = Path(__file__).parents[3]


def test_idle_process_reports(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress", stalled_after_seconds=0.5)
    time.sleep(0.6)
    assert (progress.report(work_waits=False), (tmp_path / "progress").exists()) == (True, True)


def test_stalled_process_falls_silent(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress", stalled_after_seconds=0)
    time.sleep(0.01)
    assert (progress.report(work_waits=True), (tmp_path / "progress").exists()) == (False, False)


def test_work_done_is_progress(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress", stalled_after_seconds=60)
    progress.note()
    assert progress.report(work_waits=True)


def test_progress_without_file() -> None:
    assert Progress(None).report(work_waits=True)


def test_probe_tells_old_from_new(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.touch()
    os.utime(path, (time.time() - 100, time.time() - 100))
    assert [is_recent(path, within_seconds=seconds) for seconds in (50, 200)] == [False, True]


def test_absent_file_is_not_recent(tmp_path: Path) -> None:
    assert not is_recent(tmp_path / "none", within_seconds=1e9)


@pytest.mark.parametrize(("exists", "status"), [(True, 0), (False, 1)])
def test_probe_command_exits_so(tmp_path: Path, exists: bool, status: int) -> None:
    path = tmp_path / "progress"
    if exists:
        path.touch()
    command = [sys.executable, "-m", "worker.progress", str(path), "60"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == status


def test_success_ends_waiting() -> None:
    backoff = Backoff()
    backoff.fail()
    backoff.succeed()
    assert backoff.delay() == 0


@given(st.integers(1, 200))
def test_delay_doubles_to_a_limit(failures: int) -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=10)
    for _ in range(failures):
        delay = backoff.fail()
    whole = min(10, 2.0 ** (failures - 1))
    assert whole / 2 <= delay <= whole


def test_halt_leaves_time_to_drain() -> None:
    halt = Halt(drain_seconds=60)
    halt.begin()
    assert (halt.begun, halt.drained) == (True, False)


def test_drain_time_ends() -> None:
    halt = Halt(drain_seconds=0)
    halt.begin()
    assert halt.drained


def test_second_signal_extends_nothing() -> None:
    halt = Halt(drain_seconds=0.05)
    halt.begin()
    time.sleep(0.06)
    halt.begin()
    assert halt.drained


def test_waiting_ends_with_halt() -> None:
    halt = Halt()
    halt.begin()
    began = time.monotonic()
    assert halt.wait(30)
    assert time.monotonic() - began < 1


def test_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(os, "kill", lambda *_: asked.set())
    monkeypatch.setattr(os, "_exit", lambda _status: ended.set())
    Halt(drain_seconds=0).end_process(grace_seconds=0.01)
    assert (asked.is_set(), ended.wait(10)) == (True, True)


def test_fresh_process_is_not_drained() -> None:
    assert not Halt(drain_seconds=0).drained
