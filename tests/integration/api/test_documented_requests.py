"""The requests that docs/api.md shows are really made, all of them and in their order."""

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from leaktrace.records.database import transaction
from leaktrace.records.models import Batch
from tests.integration.api.service import attribute_batch, picture, register_model

DOCUMENT = Path(__file__).parents[3] / "docs/api.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the document speaks of."""
    for seed, name in enumerate(("cat", "dog", "owl")):
        (tmp_path / f"{name}.jpg").write_bytes(picture(seed))
    return tmp_path


@pytest.fixture
def attributing(engine: Engine) -> Iterator[None]:
    """Something that does what workers do: attribute every closed batch of multipart images."""
    register_model(engine)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            with transaction(engine) as session:
                queued = list(
                    session.scalars(select(Batch.id).where(Batch.state == "queued", Batch.name.is_not(None)))
                )
            for batch_id in queued:
                attribute_batch(engine, str(batch_id))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("attributing")
def test_documented_requests_succeed(base_url: str, make_key: Callable[..., str], folder: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(BLOCKS)
    environment = {**os.environ, "LEAKTRACE_URL": base_url, "LEAKTRACE_KEY": make_key()}
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert '{"type": "end", "count": 2}' in run.stdout


def test_every_request_is_documented_as_run() -> None:
    text = DOCUMENT.read_text()
    outside = re.sub(r"^```sh\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert (len(BLOCKS) > 15, "curl" in outside) == (True, False)
