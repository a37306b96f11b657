"""One shard after the other through a real database and object store, and what is recorded of each image."""

import numpy as np
from sqlalchemy import Engine, select

from leaktrace.objects import S3ObjectStore, image_key, staged_key
from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution, Image
from tests.attributors import FakeAttributor, embedding_of
from tests.submissions import Submissions, picture, pictures
from worker.process import WorkerProcess


def test_batch_is_attributed_completely(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, shard_ids = submissions.submit(pictures(10), send=False)
    for shard_id in shard_ids:
        worker.attribute_shard(shard_id)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("completed", {"succeeded": 10})


def test_embedding_is_stored_exactly(worker: WorkerProcess, submissions: Submissions, engine: Engine) -> None:
    data = picture(1001)
    batch_id, (shard_id,) = submissions.submit({"a": data}, send=False)
    worker.attribute_shard(shard_id)
    with transaction(engine) as session:
        stored = session.get_one(Attribution, submissions.items(batch_id)["a"].attribution_id).embedding
    expected = embedding_of(FakeAttributor().prepare(data).content_hash)
    assert np.array_equal(np.asarray(stored, dtype=np.float32), expected)
