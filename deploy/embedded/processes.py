"""Child processes that die with their parent: start, wait until ready, stop, kill.

The kernel sends the parent-death signal when the *thread* that started a child ends, so one thread that lives as long
as the process starts them all, and any thread may ask for one. Knows nothing of what the processes are.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil

from leaktrace.errors import Unavailable

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_LIMIT_BYTES = 16_000_000
LOG_TAIL_BYTES = 2_000
POLL_SECONDS = 0.03
KILL_WAIT_SECONDS = 10.0

Popen = subprocess.Popen[bytes]


class ProcessFailed(Unavailable):
    """A process of the stack ended or did not become ready; carries its name and its log file."""

    code = "process_failed"

    def __init__(self, name: str, *, reason: str, log: Path) -> None:
        self.name, self.reason, self.log = name, reason, log
        super().__init__(f"{name} {reason}; its log is {log} and ends: {_last_line(log)}")


@dataclass(frozen=True)
class Command:
    """What to run and how. `user` is another user to run as (root only); secrets go into `environment` or `stdin`."""

    arguments: Sequence[str | Path]
    cwd: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    user: str | None = None
    death_signal: signal.Signals = signal.SIGKILL


class ChildProcess:
    """One running process of the stack, in a session of its own, so that Ctrl-C in the terminal does not reach it."""

    def __init__(self, name: str, command: Command) -> None:
        self.name = name
        self.log = command.log
        self._stopping = False
        self._popen = _SPAWNER.run(lambda: _spawn(command))

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def check_alive(self) -> None:
        """Raise ProcessFailed, with the end of the log, when it has ended."""
        if not self.is_alive():
            raise ProcessFailed(self.name, reason=f"ended with status {self._popen.returncode}", log=self.log)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Its exit status; raises TimeoutError when it is still running after the timeout."""
        try:
            return self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.name} still runs after {timeout_seconds} s") from error

    def wait_until_ready(
        self, probe: Callable[[], bool], *, timeout_seconds: float, poll_seconds: float = POLL_SECONDS
    ) -> None:
        """Call `probe` until it is true; raises ProcessFailed when the process ends first or time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not probe():
            self.check_alive()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    self.name, reason=f"was not ready in {timeout_seconds:.0f} s", log=self.log
                )
            time.sleep(poll_seconds)

    def begin_stop(self, number: signal.Signals) -> None:
        """Ask it to end, once: a second signal would make some servers drop what they are finishing."""
        if self.is_alive() and not self._stopping:
            self._stopping = True
            self._popen.send_signal(number)

    def stop(self, number: signal.Signals, *, grace_seconds: float) -> None:
        """Ask it to end, and kill its whole session where it has not after the grace period."""
        self.begin_stop(number)
        try:
            self.wait(grace_seconds)
        except TimeoutError:
            self.kill_session()

    def kill(self) -> None:
        """SIGKILL to the process alone, as a fault would; returns once it is gone."""
        if self.is_alive():
            self._popen.kill()
        self.wait(KILL_WAIT_SECONDS)

    def kill_session(self) -> None:
        """SIGKILL to the process and all it started."""
        if self.is_alive():
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(KILL_WAIT_SECONDS)


def end_leftovers(directory: Path, *, names: Iterable[str], grace_seconds: float = 10.0) -> None:
    """Wait for servers of an earlier owner that still work in `directory`, then kill them.

    Only for the holder of the directory's lock: what is found here then belongs to an owner that has died.
    """
    deadline = time.monotonic() + grace_seconds
    while leftovers := _working_in(directory.resolve(), frozenset(names)):
        if time.monotonic() > deadline:
            for process in leftovers:
                process.kill()
            psutil.wait_procs(leftovers, timeout=KILL_WAIT_SECONDS)
            return
        time.sleep(POLL_SECONDS)


def _working_in(directory: Path, names: frozenset[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        cwd = process.info["cwd"]
        if process.info["name"] in names and cwd and Path(cwd).is_relative_to(directory):
            found.append(process)
    return found


def _spawn(command: Command) -> Popen:
    launch = [
        sys.executable,
        "-I",
        "-S",
        LAUNCHER,
        os.getpid(),
        int(command.death_signal),
        command.user or "-",
    ]
    with _open_log(command.log) as log:
        popen = subprocess.Popen(  # noqa: S603
            [str(part) for part in [*launch, *command.arguments]],
            cwd=command.cwd,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
        )
    if command.stdin is not None:
        _write_and_close(popen, command.stdin)
    return popen


def _write_and_close(popen: Popen, data: bytes) -> None:
    # A process that ended before it read its input says why in its log, and the wait for readiness reports that.
    with contextlib.suppress(BrokenPipeError), popen.stdin or contextlib.nullcontext() as pipe:
        if pipe is not None:
            pipe.write(data)


def _open_log(path: Path) -> BinaryIO:
    """Append to the log; one that has grown past the limit is set aside first, over the one set aside before."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".1.log"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").split("\n")
    except OSError as error:
        return f"(unreadable: {error})"
    return next((line for line in reversed(lines) if line.strip()), "(nothing)")


class _Spawner:
    """Runs jobs on one thread that ends only with the process; a fork of the process gets a thread of its own."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Popen], Future[Popen]]] = queue.SimpleQueue()
        self._owner_pid = 0
        self._lock = threading.Lock()

    def run(self, job: Callable[[], Popen]) -> Popen:
        self._ensure_thread()
        result: Future[Popen] = Future()
        self._jobs.put((job, result))
        return result.result()

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._owner_pid != os.getpid():
                self._owner_pid = os.getpid()
                threading.Thread(target=self._work, name="spawner", daemon=True).start()

    def _work(self) -> None:
        while True:
            job, result = self._jobs.get()
            try:
                result.set_result(job())
            except BaseException as error:  # the caller's thread raises it
                result.set_exception(error)


_SPAWNER = _Spawner()
