"""The API as a process of its own, started as it is in production: what it writes to its log."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaktrace.settings import Settings

COMMAND = [sys.executable, "-m", "uvicorn", "api.app:create_app", "--factory", "--no-access-log"]


@pytest.fixture(scope="module")
def key(make_key: Callable[..., str]) -> str:
    return make_key()


@pytest.fixture(scope="module")
def batch_id() -> str:
    return "019ab1f0-5c3e-7a10-8d53-2f6b8c1e9a40"


@pytest.fixture(scope="module")
def lines(service_environment: dict[str, str], key: str, batch_id: str, tmp_path_factory: Any) -> list[str]:
    """What the process logged while it was asked for a few things and then told to stop."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    log: Path = tmp_path_factory.mktemp("api") / "api.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port)], env=service_environment, stderr=sink, stdout=sink
        )
    try:
        ask_all(f"http://127.0.0.1:{port}", key=key, batch_id=batch_id)
    finally:
        process.terminate()
        process.wait(20)
    return log.read_text().splitlines()


def ask_all(url: str, *, key: str, batch_id: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{url}/livez")
            break
        except httpx.TransportError:
            assert time.monotonic() < until, "the process did not start"
            time.sleep(0.1)
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "asked-by-test"}
    assert httpx.get(f"{url}/v1/batches/{batch_id}", headers=headers).status_code == 404
    body = {"files": [{"custom_id": "a", "sha256": "0" * 64, "size_bytes": 1}]}
    made = httpx.post(f"{url}/v1/batches", json={}, headers=headers).json()["id"]
    assert httpx.post(f"{url}/v1/batches/{made}/uploads", json=body, headers=headers).status_code == 200


def test_every_line_is_json(lines: list[str]) -> None:
    assert {json.loads(line)["service"] for line in lines} == {"api"}


def test_request_line_names_its_ids(lines: list[str], batch_id: str) -> None:
    (found,) = [event for event in map(json.loads, lines) if event.get("batch_id") == batch_id]
    assert (found["event"], found["request_id"], found["status"]) == ("request_served", "asked-by-test", 404)
    assert found["route"] == "/v1/batches/{batch_id}"


def test_log_holds_no_secret(lines: list[str], key: str, settings: Settings) -> None:
    secrets = [
        key.rsplit("_", 1)[1],
        settings.s3_secret_key.get_secret_value(),
        settings.database_url.get_secret_value(),
        settings.broker_url.get_secret_value(),
    ]
    assert [secret for secret in secrets if any(secret in line for line in lines)] == []
