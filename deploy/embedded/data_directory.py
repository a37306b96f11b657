"""The directory that holds everything of one embedded stack, owned by one process at a time.

Two Valkeys on one directory both start and ruin each other's data, so the owner holds a file lock from before the first
server until after the last. Also keeps generated secrets (0600) and chosen ports. Knows nothing of the servers.
"""

import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from leaktrace.errors import Conflict

SECRET_BYTES = 24
# Below the range from which the kernel takes ports for outgoing connections, and so that port + 10,000 is as well.
FIRST_PORT, LAST_PORT = 12_000, 21_999
GRPC_OFFSET = 10_000


class DataDirectoryInUse(Conflict):
    """Another living process owns the data directory; carries the directory and the owner's pid."""

    code = "data_directory_in_use"

    def __init__(self, directory: Path, *, owner_pid: int | None) -> None:
        self.directory, self.owner_pid = directory, owner_pid
        owner = f"process {owner_pid}" if owner_pid else "another process"
        super().__init__(
            f"{directory} is in use by {owner}: stop that first (kill {owner_pid or 'PID'}) or choose another directory"
        )


class DataDirectory:
    """One data directory, mode 0700. `acquire` before any use, `release` after the last; both may be repeated."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def acquire(self) -> None:
        """Take ownership; raises DataDirectoryInUse when another process has it."""
        if self._lock is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        lock = os.open(self.path / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(lock, 32, 0).strip()
            os.close(lock)
            raise DataDirectoryInUse(self.path, owner_pid=int(owner) if owner else None) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def subdirectory(self, name: str) -> Path:
        directory = self.path / name
        directory.mkdir(exist_ok=True, mode=0o700)
        return directory

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def secret(self, name: str) -> str:
        """The secret of that name: URL-safe, 192 random bits, made at first use and the same ever after."""
        path = self.path / "secrets.json"
        known = read_json(path)
        if name not in known:
            known[name] = secrets.token_urlsafe(SECRET_BYTES)
            write_private_json(path, known)
        return str(known[name])

    def port(self, name: str, *, preferred: int | None = None) -> int:
        """The port of that name, free, as is port + GRPC_OFFSET: the preferred one, or else the same as last time.

        Where that is taken another is chosen, and kept for the next time.
        """
        path = self.path / "ports.json"
        known = read_json(path)
        others = {port for other, port in known.items() if other != name}
        wishes = [port for port in (preferred, known.get(name)) if port is not None and port not in others]
        port = next((port for port in wishes if _is_free(port)), None) or _free_port(excluded=others)
        if port != known.get(name):
            write_private_json(path, {**known, name: port})
        return port


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is no such file."""
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def write_private_json(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all, readable by the owner alone at every moment."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _free_port(*, excluded: set[int]) -> int:
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
        if port not in excluded and _is_free(port):
            return port


def _is_free(port: int) -> bool:
    """A preferred port can lie above those that are chosen here, and then serves no gRPC."""
    return _can_bind(port) and (port > LAST_PORT or _can_bind(port + GRPC_OFFSET))


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do, so that connections of an earlier run in TIME_WAIT do not make its own port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
