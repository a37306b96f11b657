"""What the three embedded servers share: one process on a data directory that can be stopped, killed and restarted.

A subclass says how its server is started and when it is ready; here is the order of things. A port, once chosen, is the
same for every restart. Knows nothing of what any server does.
"""

import signal
from abc import ABC, abstractmethod
from pathlib import Path

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.processes import ChildProcess, Command, end_leftovers


class EmbeddedServer(ABC):
    """One server. `data` must be owned by the caller for as long as the server lives."""

    name: str
    program: str  # as the kernel names the process
    stop_signal = signal.SIGTERM
    ready_seconds = 30.0
    grace_seconds = 10.0

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self._process: ChildProcess | None = None
        # Before a subclass asks for its ports, which an earlier owner's server may be about to give up.
        end_leftovers(self.directory, names=[self.program])

    @property
    @abstractmethod
    def directory(self) -> Path:
        """Where the server works: its process's current directory."""

    @abstractmethod
    def command(self) -> Command:
        """How to start it now; files that it needs are written here."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether a client with the right credentials is served."""

    def prepare(self) -> None:  # noqa: B027 - not every server needs it
        """What has to be done before a start."""

    def complete(self) -> None:  # noqa: B027 - not every server needs it
        """What has to be done once it is ready, such as making its database; may be repeated."""

    @property
    def pid(self) -> int:
        return self._running().pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def launch(self) -> None:
        """Start without waiting; `wait_until_ready` must follow."""
        if self.is_alive():
            return
        end_leftovers(self.directory, names=[self.program])
        self.prepare()
        self._process = ChildProcess(self.name, self.command())

    def wait_until_ready(self) -> None:
        """Raises ProcessFailed, with the end of the log, when the server does not become ready."""
        self._running().wait_until_ready(self.is_ready, timeout_seconds=self.ready_seconds)
        self.complete()

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    def begin_stop(self) -> None:
        """Ask it to end without waiting; `stop` must follow."""
        if self._process is not None:
            self._process.begin_stop(self.stop_signal)

    def stop(self) -> None:
        """End it in good order; killed when it takes longer than its grace period."""
        if self._process is not None:
            self._process.stop(self.stop_signal, grace_seconds=self.grace_seconds)

    def kill(self) -> None:
        """SIGKILL, as a crash of the machine's memory would: nothing is flushed or closed by the server."""
        self._running().kill()

    def restart(self) -> None:
        """Stop where it still runs, then start on the same port and data; returns when it is ready."""
        self.stop()
        self.start()

    def _running(self) -> ChildProcess:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started: call start() first")
        return self._process
