"""SIGKILL of the API while it receives an upload: the client sends again, and every image is there once."""

import socket
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from leaktrace.records.database import transaction
from leaktrace.records.keys import create_key, ensure_tenant
from tests.faults.conftest import Processes
from tests.submissions import Submissions, pictures

PIECE_BYTES = 64_000


@pytest.fixture
def client(submissions: Submissions) -> Iterator[httpx.Client]:
    """A client of the API on a port that is free now; whoever starts the API takes the same."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with transaction(submissions.engine) as session:
        key = create_key(session, ensure_tenant(session, submissions.tenant), name="faults")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield client


def upload(
    client: httpx.Client, path: str, files: Mapping[str, bytes], *, halfway: Callable[[], None] | None = None
) -> httpx.Response:
    """Send all files in one request, piece by piece, and do something once half of it was sent."""
    parts = [("files", (name, data, "image/png")) for name, data in files.items()]
    whole = client.build_request("POST", path, files=parts)
    body = whole.read()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), PIECE_BYTES):
            if halfway is not None and start <= len(body) // 2 < start + PIECE_BYTES:
                halfway()
            yield body[start : start + PIECE_BYTES]

    return client.post(path, content=pieces(), headers={"Content-Type": whole.headers["Content-Type"]})


def test_upload_survives_api_kill(
    processes: Processes, submissions: Submissions, client: httpx.Client
) -> None:
    port, files = client.base_url.port or 0, pictures(24, first_seed=500)
    api = processes.api(port=port)
    created = client.post("/v1/batches", json={}).json()
    path = f"/v1/batches/{created['id']}/images"
    upload(client, path, dict(list(files.items())[:6])).raise_for_status()
    with pytest.raises(httpx.TransportError):
        upload(client, path, files, halfway=api.kill)
    assert not api.is_alive()
    processes.api(port=port)
    again = upload(client, path, files).raise_for_status().json()["data"]
    client.post(f"/v1/batches/{created['id']}/close").raise_for_status()
    processes.beat()
    processes.worker()
    submissions.wait_for(created["id"])
    counts = client.get(f"/v1/batches/{created['id']}").json()["counts"]
    assert {answer["status"] for answer in again} <= {"accepted", "duplicate"}
    assert sum(answer["status"] == "duplicate" for answer in again) >= 6
    assert counts == {
        "total": 24, "pending": 0, "running": 0, "succeeded": 24, "failed": 0, "cancelled": 0,
    }  # fmt: skip


def test_closed_batch_survives_api_kill(
    processes: Processes, submissions: Submissions, client: httpx.Client
) -> None:
    port = client.base_url.port or 0
    api = processes.api(port=port)
    batch_id = client.post("/v1/batches", json={}).json()["id"]
    upload(client, f"/v1/batches/{batch_id}/images", pictures(6, first_seed=600)).raise_for_status()
    client.post(f"/v1/batches/{batch_id}/close").raise_for_status()
    api.kill()
    processes.worker()
    submissions.wait_for(batch_id)
    processes.api(port=port)
    lines = client.get(f"/v1/batches/{batch_id}/results?format=ndjson").text.splitlines()
    assert len(lines) == 7
