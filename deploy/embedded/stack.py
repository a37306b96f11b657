"""The whole service on this machine: servers, migrations, API, worker and beat, started and stopped together.

Where the environment names the servers already, those are used and no embedded ones are started; nothing else differs.
The commands are those of deploy/commands.py. Knows nothing of what a user then does with the service.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy import commands
from deploy.embedded.credentials import keep_credentials
from deploy.embedded.data_directory import DataDirectory, write_private_json
from deploy.embedded.processes import ChildProcess, Command, ProcessFailed
from deploy.embedded.server import EmbeddedServer
from deploy.embedded.servers import EmbeddedServers
from leaktrace.errors import InvalidInput
from leaktrace.settings import Settings

PREFERRED_PORT = 8471
ENVIRONMENT_FILE = "environment.json"
# What has to be set to use other servers. A bucket and its region have defaults; Amazon's own endpoint has no address.
SERVER_VARIABLES = (
    "LEAKTRACE_DATABASE_URL",
    "LEAKTRACE_BROKER_URL",
    "LEAKTRACE_S3_ACCESS_KEY",
    "LEAKTRACE_S3_SECRET_KEY",
)
KEYS_VARIABLE = "LEAKTRACE_SECRET_KEYS"
ADDRESS_PREFIXES = ("LEAKTRACE_DATABASE_", "LEAKTRACE_BROKER_", "LEAKTRACE_S3_", KEYS_VARIABLE)
MIGRATION_SECONDS = 600.0
READY_SECONDS = 120.0
READY_POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0


class ServersHalfNamed(InvalidInput):
    """The environment names some of the servers and not the others; carries the missing variables."""

    code = "servers_half_named"

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing
        super().__init__(
            f"the environment names some servers but {', '.join(missing)} is not set: set all of "
            f"{', '.join(SERVER_VARIABLES)} to use your own, or none of them for embedded ones"
        )


class Stack:
    """A context manager: the service runs inside the block. Its data stays for the next one on the same directory.

    `start` raises DataDirectoryInUse, ServersHalfNamed, or ProcessFailed with the end of a log.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        preferred_port: int | None = PREFERRED_PORT,
    ) -> None:
        self._data = DataDirectory(data_dir)
        self._given = dict(os.environ if environment is None else environment)
        self._preferred_port = preferred_port
        self._commands: dict[str, Command] = {}
        self._processes: dict[str, ChildProcess] = {}
        self.servers: EmbeddedServers | None = None
        self.api_url = ""
        self.key = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data_dir(self) -> Path:
        return self._data.path

    @property
    def processes(self) -> dict[str, ChildProcess]:
        """The running processes by name: api, worker, beat."""
        return dict(self._processes)

    def start(self) -> None:
        """Start everything in its order; returns when the API says that it is ready."""
        external = self._names_servers()
        self._data.acquire()
        try:
            self._start_owned(external=external)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in reverse order, each killed when it takes longer than its grace period."""
        for process in reversed(self._processes.values()):
            process.begin_stop(signal.SIGTERM)
        for process in reversed(self._processes.values()):
            process.stop(signal.SIGTERM, grace_seconds=GRACE_SECONDS)
        self._processes = {}
        if self.servers is not None:
            self.servers.stop()
        self._data.release()

    def kill(self, name: str) -> None:
        """SIGKILL to the process and all it started, as a crash would be."""
        self._processes[name].kill_session()

    def restart(self, name: str) -> None:
        """Stop `api`, `worker` or `beat` where it still runs and start it again on the same port."""
        self._processes[name].stop(signal.SIGTERM, grace_seconds=GRACE_SECONDS)
        self._launch(name)
        if name == "api":
            self._wait_for_api()

    def revive(self) -> list[str]:
        """Start again whatever has ended by itself; returns the names, which a supervisor reports."""
        ended_servers = [server for server in self._embedded() if not server.is_alive()]
        for server in ended_servers:
            server.start()
        ended = [name for name, process in self._processes.items() if not process.is_alive()]
        for name in ended:
            self._launch(name)
        return [server.name for server in ended_servers] + ended

    def environment(self) -> dict[str, str]:
        """The environment of each process of the service: the caller's, with what is this directory's."""
        addresses = self.servers.environment() if self.servers is not None else {}
        own = {
            "LEAKTRACE_PROGRESS_PATH": str(self.data_dir / "worker-progress"),
            KEYS_VARIABLE: self._data.secret("secret_key"),
        }
        return {**own, **self._given, **addresses}

    def settings(self) -> Settings:
        """What the processes of the service read from that environment."""
        return settings_from(self.environment())

    def _start_owned(self, *, external: bool) -> None:
        if not external:
            self.servers = EmbeddedServers(self._data)
            self.servers.start()
        self._migrate()
        port = self._data.port("api", preferred=self._preferred_port)
        self.api_url = f"http://127.0.0.1:{port}"
        self._commands = {
            "worker": self._command("worker", commands.worker()),
            "api": self._command("api", commands.api(host="127.0.0.1", port=port)),
            "beat": self._command("beat", commands.beat(schedule=self.data_dir / "beat-schedule")),
        }
        # The worker takes longest, since it loads and tests a model; beat is not waited for, so it comes last.
        self._launch("worker")
        self._launch("api")
        self._keep_environment()
        self.key = keep_credentials(self.data_dir, self.settings(), api_url=self.api_url)
        self._wait_for_api()
        self._launch("beat")

    def _names_servers(self) -> bool:
        missing = [name for name in SERVER_VARIABLES if not self._given.get(name)]
        if missing and len(missing) < len(SERVER_VARIABLES):
            raise ServersHalfNamed(missing)
        return not missing

    def _embedded(self) -> list[EmbeddedServer]:
        servers = self.servers
        return [servers.valkey, servers.postgres, servers.seaweed] if servers is not None else []

    def _keep_environment(self) -> None:
        """Leave addresses and key, private, where commands that talk to the database itself look for them."""
        environment = self.environment()
        addresses = {
            name: environment[name] for name in sorted(environment) if name.startswith(ADDRESS_PREFIXES)
        }
        write_private_json(self.data_dir / ENVIRONMENT_FILE, addresses)

    def _migrate(self) -> None:
        """Bring the database to the newest migration; raises ProcessFailed."""
        process = ChildProcess("migrate", self._command("migrate", commands.migrate()))
        if process.wait(MIGRATION_SECONDS) != 0:
            raise ProcessFailed("migrate", reason="failed", log=process.log)

    def _command(self, name: str, arguments: list[str]) -> Command:
        # -P keeps the current directory, whatever lies in it, from being searched for modules.
        interpreter = [sys.executable, "-P"]
        log = self._data.log(name)
        return Command([*interpreter, *arguments], cwd=Path.cwd(), log=log, environment=self.environment())

    def _launch(self, name: str) -> None:
        self._processes[name] = ChildProcess(name, self._commands[name])

    def _wait_for_api(self) -> None:
        # A check asks every server, so it is not made as often as it could be.
        self._processes["api"].wait_until_ready(
            self._is_ready, timeout_seconds=READY_SECONDS, poll_seconds=READY_POLL_SECONDS
        )

    def _is_ready(self) -> bool:
        """Whether the API says so, which includes a worker; raises ProcessFailed when one of them has ended."""
        for process in self._processes.values():
            process.check_alive()
        try:
            return httpx.get(f"{self.api_url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment that need not be this process's own."""
    prefix = "LEAKTRACE_"
    named = {name: value for name, value in environment.items() if name.startswith(prefix)}
    return Settings.model_validate(
        {name.removeprefix(prefix).lower(): value for name, value in named.items()}
    )
