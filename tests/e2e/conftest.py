"""The whole service for the end-to-end tests: `leaktrace up`, started once, as a user would start it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.embedded.servers import remove_data
from leaktrace.client import Client
from tests.e2e.commands import Finished, Running, run


@dataclass(frozen=True)
class Service:
    """A running service; commands run in `home` find it by the credentials that it keeps there."""

    home: Path
    url: str
    key: str

    def command(self, *arguments: str | Path) -> Finished:
        """Run a `leaktrace` command against it."""
        return run(*arguments, cwd=self.home)

    def client(self) -> Client:
        """A client of it, to be closed by the caller."""
        return Client(self.url, self.key)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, for the whole session."""
    home = tmp_path_factory.mktemp("up")
    running = Running(["up"], home)
    try:
        running.wait_for("is ready")
        credentials = json.loads((home / ".leaktrace" / "credentials.json").read_text())
        yield Service(home, credentials["url"], credentials["key"])
    finally:
        running.kill()
        remove_data(home / ".leaktrace")
