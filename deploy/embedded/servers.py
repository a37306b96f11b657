"""The three servers of the embedded stack, together: Valkey, Postgres with pgvector, and SeaweedFS, on one directory.

They are those of production with other addresses: `environment()` gives the settings that point the service at them.
Knows nothing of the service itself.
"""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.postgres import Postgres
from deploy.embedded.postgres_home import remove_home
from deploy.embedded.seaweed import Seaweed
from deploy.embedded.server import EmbeddedServer
from deploy.embedded.valkey import Valkey


class EmbeddedServers:
    """A context manager: the servers run inside the block. Their data stays for the next one on the same directory.

    `start` raises DataDirectoryInUse when another process owns the directory and ProcessFailed when a server does not
    become ready. `valkey`, `postgres` and `seaweed` are there from `start` on.
    """

    valkey: Valkey
    postgres: Postgres
    seaweed: Seaweed

    def __init__(self, data: Path | DataDirectory) -> None:
        self._data = data if isinstance(data, DataDirectory) else DataDirectory(data)
        self._servers: list[EmbeddedServer] = []

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

    def start(self) -> None:
        """Start all three at once and wait for each; those that did start are stopped when one does not."""
        self._data.acquire()
        try:
            self._start_owned()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all three, then give up the directory. May be repeated."""
        for server in self._servers:
            server.begin_stop()
        for server in reversed(self._servers):
            server.stop()
        self._servers = []
        self._data.release()

    def environment(self) -> dict[str, str]:
        """The settings of the service that name these servers."""
        return {
            "LEAKTRACE_DATABASE_URL": self.postgres.url,
            "LEAKTRACE_BROKER_URL": self.valkey.url,
            "LEAKTRACE_S3_ENDPOINT_URL": self.seaweed.endpoint_url,
            "LEAKTRACE_S3_ACCESS_KEY": self.seaweed.access_key,
            "LEAKTRACE_S3_SECRET_KEY": self.seaweed.secret_key,
            "LEAKTRACE_S3_BUCKET": self.seaweed.bucket,
            "LEAKTRACE_S3_REGION": self.seaweed.region,
        }

    def _start_owned(self) -> None:
        self.seaweed = Seaweed(self._data)
        self.valkey = Valkey(self._data)
        self.postgres = Postgres(self._data)
        # The slowest to become ready first; a database that has to be made takes its time while the others start.
        self._servers = [self.seaweed, self.valkey, self.postgres]
        for server in self._servers:
            server.launch()
        for server in self._servers:
            server.wait_until_ready()


def remove_data(data_dir: Path) -> None:
    """Remove the directory and what was kept outside it for it; raises DataDirectoryInUse when it has an owner."""
    data = DataDirectory(data_dir)
    data.acquire()
    remove_home(data.path)
    shutil.rmtree(data.path)
    data.release()
