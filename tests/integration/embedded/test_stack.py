"""The whole service as `leaktrace up` runs it: one start for all tests here, with the shipped model."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.embedded.servers import remove_data
from deploy.embedded.stack import SERVER_VARIABLES, ServersHalfNamed, Stack


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("up") / "data"
    yield data_dir
    remove_data(data_dir)


@pytest.fixture(scope="module")
def stack(data_dir: Path) -> Iterator[Stack]:
    with Stack(data_dir, environment=without_servers(), preferred_port=None) as stack:
        yield stack


def test_api_is_ready(stack: Stack) -> None:
    assert httpx.get(f"{stack.api_url}/readyz").json()["ready"] is True


def test_key_opens_the_api(stack: Stack) -> None:
    answer = httpx.get(f"{stack.api_url}/v1/batches", headers={"Authorization": f"Bearer {stack.key}"})
    assert answer.status_code == 200


def test_credentials_are_kept_private(stack: Stack) -> None:
    path = stack.data_dir / "credentials.json"
    assert json.loads(path.read_text()) == {"url": stack.api_url, "key": stack.key}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_addresses_are_kept_private(stack: Stack) -> None:
    path = stack.data_dir / "environment.json"
    assert stack.servers is not None
    kept = json.loads(path.read_text())
    assert len(kept.pop("LEAKTRACE_SECRET_KEYS")) >= 32
    assert kept == stack.servers.environment()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["api", "worker", "beat"])
def test_killed_process_is_revived(stack: Stack, name: str) -> None:
    before = stack.processes[name].pid
    stack.kill(name)
    assert stack.revive() == [name]
    assert stack.processes[name].pid != before


def test_killed_server_is_revived(stack: Stack) -> None:
    assert stack.servers is not None
    stack.servers.valkey.kill()
    assert stack.revive() == ["valkey"]
    assert stack.servers.valkey.is_ready()


def test_restart_keeps_the_address(stack: Stack) -> None:
    stack.restart("api")
    assert httpx.get(f"{stack.api_url}/readyz").status_code == 200


def test_half_named_servers_are_refused(tmp_path: Path) -> None:
    environment = {SERVER_VARIABLES[0]: "postgresql+psycopg://somewhere/else"}
    with pytest.raises(ServersHalfNamed, match="LEAKTRACE_BROKER_URL"):
        Stack(tmp_path / "data", environment=environment).start()


def test_external_servers_are_used(tmp_path: Path, service_environment: dict[str, str]) -> None:
    """With all servers named nothing embedded is started, and the rest of the service is the same."""
    with Stack(tmp_path / "data", environment=service_environment, preferred_port=None) as stack:
        assert stack.servers is None
        assert stack.environment()["LEAKTRACE_DATABASE_URL"] == service_environment["LEAKTRACE_DATABASE_URL"]
        assert httpx.get(f"{stack.api_url}/readyz").json()["ready"] is True


def without_servers() -> dict[str, str]:
    """This environment, less whatever names servers: embedded ones are to be started."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAKTRACE_")}
