"""The model that ships, in a worker on the real servers: what is recorded is what the library says."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution
from leaktrace.science.attributor import Attributor
from leaktrace.science.model_folder import PROTO_LEAKNET, resolve_folder
from leaktrace.settings import Settings
from tests.submissions import Submissions, pictures
from worker.loaded_models import load_attributor
from worker.process import WorkerProcess
from worker.registration import register

ROOT = Path(__file__).parents[3]
PROBABILITY_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def starter() -> Attributor:
    return load_attributor("starter", device="cpu", torch_threads=None)


def test_records_agree_with_library(
    starter: Attributor,
    settings: Settings,
    engine: Engine,
    store: S3ObjectStore,
    queue: ShardQueue,
    submissions: Submissions,
) -> None:
    register(starter, engine=engine, store=store)
    worker = WorkerProcess(settings, starter, engine=engine, store=store, queue=queue)
    files = pictures(5)
    batch_id, shard_ids = submissions.submit(files, shard_images=2, send=False)
    for shard_id in shard_ids:
        worker.attribute_shard(shard_id)
    expected = dict(
        zip(files, starter.attribute([starter.prepare(data) for data in files.values()]), strict=True)
    )
    items = submissions.items(batch_id)
    worker.halt()
    worker.stop()
    with transaction(engine) as session:
        made = {name: session.get_one(Attribution, items[name].attribution_id) for name in files}
    for name, said in expected.items():
        assert (made[name].verdict, made[name].generator) == (said.verdict, said.generator)
        assert made[name].probabilities == pytest.approx(said.probabilities, abs=PROBABILITY_TOLERANCE)
        assert np.allclose(made[name].embedding, said.embedding, atol=PROBABILITY_TOLERANCE)


def test_damaged_weights_end_the_process(service_environment: dict[str, str], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(resolve_folder("starter"), damaged)
    weights = damaged / PROTO_LEAKNET
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0xFF]))
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker.app:app", "worker"],
        cwd=ROOT,
        env={**service_environment, "LEAKTRACE_MODEL": str(damaged)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, b"this worker cannot start: the model at" in run.stderr) == (1, True)
