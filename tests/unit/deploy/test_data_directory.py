"""What a data directory keeps: secrets, ports, and a single owner."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.data_directory import DataDirectory, DataDirectoryInUse


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    data = DataDirectory(tmp_path / "data")
    data.acquire()
    yield data
    data.release()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_open_directory_is_closed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    data = DataDirectory(tmp_path / "data")
    data.acquire()
    data.release()
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_released_directory_has_no_owner(data: DataDirectory) -> None:
    data.release()
    other = DataDirectory(data.path)
    other.acquire()
    other.release()


def test_owned_directory_names_its_owner(data: DataDirectory) -> None:
    with pytest.raises(DataDirectoryInUse) as refusal:
        DataDirectory(data.path).acquire()
    assert refusal.value.directory == data.path


def test_secret_is_made_once(data: DataDirectory) -> None:
    first = data.secret("one")
    assert (data.secret("one"), len(first) >= 32) == (first, True)


def test_secrets_differ_by_name(data: DataDirectory) -> None:
    assert data.secret("one") != data.secret("other")


def test_port_is_kept(data: DataDirectory) -> None:
    assert data.port("api") == data.port("api")


def test_preferred_port_is_given(data: DataDirectory) -> None:
    free = DataDirectory(data.path).port("elsewhere")
    data.port("api")
    (data.path / "ports.json").unlink()
    assert data.port("api", preferred=free) == free


def test_preference_comes_before_last_time(data: DataDirectory) -> None:
    first = data.port("api")
    wanted = first + 1 if first % 2 else first - 1
    assert data.port("api", preferred=wanted) == wanted


def test_taken_preference_is_passed_over(data: DataDirectory, taken_port: int) -> None:
    assert data.port("api", preferred=taken_port) != taken_port


def test_highest_port_can_be_preferred(data: DataDirectory) -> None:
    assert data.port("api", preferred=65_535) == 65_535


def test_names_never_share_ports(data: DataDirectory) -> None:
    first = data.port("one")
    assert data.port("other", preferred=first) != first
