"""SIGKILL of `leaktrace submit` while it sends a folder: the same command goes on, every file is there once."""

import hashlib
import os
import socket
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from leaktrace.records.database import transaction
from leaktrace.records.keys import create_key
from leaktrace.records.models import Batch, Image, Item
from tests.e2e.commands import Running
from tests.faults.conftest import Processes
from tests.submissions import Submissions, picture, wait_until

FILES = 600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Many small pictures, all different."""
    made = tmp_path / "photos"
    for place in range(FILES):
        path = made / f"{place % 5}" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(place, side=32))
    return made


@pytest.fixture
def environment(processes: Processes, submissions: Submissions, tmp_path: Path) -> dict[str, str]:
    """By which a command finds the service, which runs by now, and keeps its journals out of the way."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with transaction(submissions.engine) as session:
        key = create_key(session, submissions.tenant_id, name="faults")
    processes.api(port=port)
    return {
        "LEAKTRACE_API_URL": f"http://127.0.0.1:{port}",
        "LEAKTRACE_API_KEY": key,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def batches(submissions: Submissions) -> list[UUID]:
    with transaction(submissions.engine) as session:
        return list(session.scalars(select(Batch.id).where(Batch.tenant_id == submissions.tenant_id)))


def arrived(submissions: Submissions) -> list[tuple[str, str]]:
    """Custom id and hash of every item of the tenant, whatever its batch."""
    with transaction(submissions.engine) as session:
        found = select(Item.custom_id, Image.sha256).join(Image, Image.id == Item.image_id)
        return [tuple(row) for row in session.execute(found.where(Item.tenant_id == submissions.tenant_id))]


def test_submission_survives_its_kills(
    submissions: Submissions, folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    command = ["submit", str(folder), "--no-wait"]
    left: list[int] = []
    for enough in (32, FILES // 2):
        submitting = Running(command, tmp_path, environment)
        wait_until(lambda enough=enough: len(arrived(submissions)) >= enough)
        submitting.kill()
        left.append(len(arrived(submissions)))
    finished = Running(command, tmp_path, environment).finish()
    expected = {
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*.png")
    }
    assert (finished.exit_code, "going on with the upload" in finished.output) == (0, True), finished.output
    assert left[0] < left[1] < FILES
    assert sorted(arrived(submissions)) == sorted(expected)
    (batch_id,) = batches(submissions)
    assert submissions.state(batch_id) != "uploading"
    assert [name for _, _, names in os.walk(tmp_path / "state") for name in names] == []
