"""The real servers and the real worker and beat as processes that a test may kill; leases and sweeps take seconds."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from deploy import commands
from deploy.embedded.processes import ChildProcess, Command
from deploy.embedded.servers import EmbeddedServers
from leaktrace.objects import connect_store
from leaktrace.queue import ShardQueue, create_celery
from leaktrace.records.database import connect_database
from leaktrace.settings import Settings
from tests.integration.conftest import (  # noqa: F401 - fixtures of this folder's own
    broker_url,
    database_url,
    migrated_template,
    s3_bucket,
    servers,
    service_environment,
    settings,
)
from tests.submissions import Submissions

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
QUICK = {
    "LEAKTRACE_LEASE_SECONDS": "2",
    "LEAKTRACE_SWEEP_INTERVAL_SECONDS": "0.5",
    "LEAKTRACE_EXPIRY_INTERVAL_SECONDS": "1",
    "LEAKTRACE_MAX_BATCH_IMAGES": "4",
}


@dataclass
class Processes:
    """Starts the worker and beat, remembers them, and shows what they logged."""

    environment: dict[str, str]
    directory: Path
    started: list[ChildProcess] = field(default_factory=list)

    def worker(self, **environment: str) -> ChildProcess:
        """A worker that takes shards by now."""
        process = self.starting_worker(**environment)
        process.wait_until_ready(
            lambda: b"worker_ready" in process.log.read_bytes(), timeout_seconds=START_SECONDS
        )
        return process

    def starting_worker(self, **environment: str) -> ChildProcess:
        return self._start("worker", ["--pool", "threads", "--concurrency", "2"], environment)

    def beat(self) -> ChildProcess:
        schedule = self.directory / f"schedule-{len(self.started)}"
        return self._start("beat", ["--schedule", str(schedule)], {})

    def api(self, *, port: int) -> ChildProcess:
        """The API, answering by now."""
        process = self._run("api", commands.api(host="127.0.0.1", port=port), {})
        process.wait_until_ready(lambda: _answers(port), timeout_seconds=START_SECONDS)
        return process

    def _start(self, command: str, options: list[str], environment: dict[str, str]) -> ChildProcess:
        celery = ["-m", "celery", "-A", "tests.faults.killable_worker:app", command, *options]
        return self._run(command, celery, environment)

    def _run(self, kind: str, arguments: list[str], environment: dict[str, str]) -> ChildProcess:
        name = f"{kind}-{len(self.started)}"
        process = ChildProcess(
            name,
            Command(
                [sys.executable, *arguments],
                cwd=ROOT,
                log=self.directory / f"{name}.log",
                environment={**self.environment, **QUICK, **environment},
            ),
        )
        self.started.append(process)
        return process


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(autouse=True)
def all_servers_run(servers: EmbeddedServers) -> None:  # noqa: F811
    """A test that killed a server and failed must not fail the next one too."""
    for server in (servers.valkey, servers.postgres, servers.seaweed):
        server.start()


@pytest.fixture
def processes(
    service_environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> Iterator[Processes]:
    processes = Processes(service_environment, tmp_path)
    yield processes
    for process in reversed(processes.started):
        process.kill_session()


@pytest.fixture
def submissions(settings: Settings) -> Iterator[Submissions]:  # noqa: F811
    engine = connect_database(settings)
    queue = ShardQueue(create_celery(settings.broker_url.get_secret_value()))
    yield Submissions(engine, connect_store(settings), queue, tenant=f"tenant-{os.getpid()}")
    engine.dispose()
