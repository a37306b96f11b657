"""`leaktrace up` ends cleanly on SIGTERM, and its data is there the next time."""

import json
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.embedded.servers import remove_data
from leaktrace.client import Batch, Client, UploadFile
from tests.e2e.commands import Finished, Running
from tests.e2e.pictures import encoded, photo


@dataclass(frozen=True)
class TwoRuns:
    """A service that was stopped while a batch was under way, and started again on the same data."""

    first: Finished
    interrupted: Batch
    resumed: Batch
    credentials_mode: int


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRuns]:
    """Start, submit, stop by SIGTERM, start again, wait."""
    home = tmp_path_factory.mktemp("up-twice")
    started: list[Running] = []
    try:
        started.append(Running(["up"], home))
        started[0].wait_for("is ready")
        with _client(home) as client:
            batch = client.create_batch("interrupted")
            files = [
                UploadFile.from_bytes(encoded(photo(s), "PNG"), custom_id=str(s)) for s in range(300, 340)
            ]
            assert len(list(client.upload(batch.id, files))) == len(files)
            interrupted = client.close(batch.id)
        first = started[0].finish(signal.SIGTERM)
        started.append(Running(["up"], home))
        started[1].wait_for("is ready")
        with _client(home) as client:
            resumed = client.wait(batch.id, timeout_seconds=150)
        mode = stat.S_IMODE((home / ".leaktrace" / "credentials.json").stat().st_mode)
        yield TwoRuns(first, interrupted, resumed, mode)
    finally:
        for running in started:
            running.kill()
        remove_data(home / ".leaktrace")


def test_terminated_service_leaves_nothing(runs: TwoRuns) -> None:
    assert runs.first.survivors == []


def test_termination_is_no_failure(runs: TwoRuns) -> None:
    assert runs.first.exit_code == 0, runs.first.output
    assert "Traceback" not in runs.first.output


def test_batch_survives_a_restart(runs: TwoRuns) -> None:
    assert runs.interrupted.state != "completed"
    assert runs.resumed.state == "completed"
    assert runs.resumed.counts.succeeded == runs.resumed.counts.total == 40


def test_credentials_are_private(runs: TwoRuns) -> None:
    assert runs.credentials_mode == 0o600


def test_url_and_key_are_printed(runs: TwoRuns) -> None:
    assert "http://127.0.0.1:" in runs.first.output
    assert "lk_live_" in runs.first.output


def _client(home: Path) -> Client:
    document = json.loads((home / ".leaktrace" / "credentials.json").read_text())
    return Client(document["url"], document["key"])
