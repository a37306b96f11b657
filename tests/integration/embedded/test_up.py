"""`leaktrace up` as a person runs it: what it prints, how it stops, and what it leaves."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest

from deploy.embedded.servers import remove_data
from tests.descendants import descendants_of, still_running

STOP_SECONDS = 40
LAST_LINE = "Ctrl-C stops it.\n"


@dataclass(frozen=True)
class Up:
    """A running `leaktrace up`: its process, all that it started, and what it printed until it was ready."""

    process: "subprocess.Popen[str]"
    children: dict[psutil.Process, str]
    lines: list[str]

    def said(self, pattern: str) -> str:
        found = re.search(pattern, "".join(self.lines))
        assert found is not None, self.lines
        return found[1]


@dataclass(frozen=True)
class FirstRun:
    """What a first run showed: its key, its exit status, and the names of what it left running."""

    key: str
    status: int
    left: list[str]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests here, each of which leaves it to the next."""
    data_dir = tmp_path_factory.mktemp("up") / "data"
    yield data_dir
    remove_data(data_dir)


@pytest.fixture(scope="module")
def first_run(data_dir: Path) -> FirstRun:
    """Started on nothing, and asked to end by SIGTERM."""
    with running_up(data_dir) as up:
        up.process.terminate()
        status = up.process.wait(STOP_SECONDS)
        return FirstRun(key=up.said(r"key +(\S+)"), status=status, left=still_running(up.children))


def test_up_stops_on_termination(first_run: FirstRun) -> None:
    assert (first_run.status, first_run.left) == (0, [])


def test_up_stops_on_interrupt(data_dir: Path) -> None:
    with running_up(data_dir) as up:
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(STOP_SECONDS) == 0
        assert still_running(up.children) == []


def test_up_leaves_nothing_when_killed(data_dir: Path) -> None:
    with running_up(data_dir) as up:
        assert {"postgres", "valkey-server", "weed"} <= set(up.children.values())
        up.process.kill()
        up.process.wait()
        assert still_running(up.children) == []


def test_up_keeps_its_key(data_dir: Path, first_run: FirstRun) -> None:
    with running_up(data_dir) as up:
        address = up.said(r"ready at (\S+)")
        answer = httpx.get(f"{address}/v1/batches", headers={"Authorization": f"Bearer {first_run.key}"})
        assert (up.said(r"key +(\S+)"), answer.status_code) == (first_run.key, 200)


@contextmanager
def running_up(data_dir: Path) -> Iterator[Up]:
    program = Path(sys.executable).with_name("leaktrace")
    command: list[str | Path] = [program, "up", "--data-dir", data_dir]
    with subprocess.Popen(command, env=without_servers(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = lines_until_ready(process.stdout)
            yield Up(process, descendants_of(process.pid), lines)
        finally:
            process.terminate()


def lines_until_ready(output: IO[str]) -> list[str]:
    lines = []
    for line in output:
        lines.append(line)
        if line == LAST_LINE:
            return lines
    pytest.fail(f"leaktrace up ended before it was ready: {lines}")


def without_servers() -> dict[str, str]:
    """This environment, less whatever names servers: embedded ones are to be started."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAKTRACE_")}
