"""Runs `leaktrace` as a user does: as a process of its own, whose output and descendants can be looked at."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-c", "from leaktrace.cli import app; app()"]
START_SECONDS = 180.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code, all output, and which of its processes outlived it."""

    exit_code: int
    output: str
    survivors: list[str]


@dataclass
class Running:
    """A command under way. Its output goes to a file, so that it never waits for a reader."""

    arguments: list[str]
    cwd: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("LEAKTRACE_API")
        }
        descriptor, name = tempfile.mkstemp(suffix=".log", dir=self.cwd)
        self._log = Path(name)
        self._popen = subprocess.Popen(
            [*COMMAND, *self.arguments],
            cwd=self.cwd,
            env={**inherited, **self.environment},
            stdout=descriptor,
            stderr=subprocess.STDOUT,
        )
        os.close(descriptor)

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return self._log.read_text()

    def wait_for(self, words: str) -> None:
        """Return when the words have been printed; fails when the command ends first."""
        deadline = time.monotonic() + START_SECONDS
        while words not in self.output:
            assert self._popen.poll() is None, f"ended with {self._popen.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"{words!r} was not printed in time:\n{self.output}"
            time.sleep(0.05)

    def finish(self, number: signal.Signals | None = None) -> Finished:
        """Send a signal, if one is given, and wait for the end."""
        family = psutil.Process(self._popen.pid).children(recursive=True)
        if number is not None:
            self._popen.send_signal(number)
        exit_code = self._popen.wait(STOP_SECONDS if number else START_SECONDS)
        return Finished(exit_code, self.output, _survivors(family))

    def kill(self) -> None:
        """End it whatever state it is in; its servers follow by themselves."""
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()


def run(*arguments: str | Path, cwd: Path, environment: dict[str, str] | None = None) -> Finished:
    """Run a command to its end."""
    running = Running([str(argument) for argument in arguments], cwd, environment or {})
    try:
        return running.finish()
    finally:
        running.kill()


def _survivors(family: list[psutil.Process]) -> list[str]:
    _, alive = psutil.wait_procs(family, timeout=5)
    return [process.name() for process in alive if process.status() != psutil.STATUS_ZOMBIE]
