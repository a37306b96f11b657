"""Uploads that went straight to the store: a worker believes none before it has hashed it."""

import pytest

from leaktrace.objects import ObjectMissing, S3ObjectStore, image_key, staged_key
from tests.attributors import FakeAttributor
from tests.submissions import Submissions, picture
from worker.process import WorkerProcess


def test_staged_upload_becomes_image(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore
) -> None:
    batch_id, data = submissions.open(), picture(1300)
    submissions.stage(batch_id, "a", data)
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    image = submissions.image_of(batch_id, "a")
    assert store.get(image_key(submissions.tenant_id, image.sha256)) == data
    assert (image.size_bytes, submissions.counts(batch_id)) == (len(data), {"succeeded": 1})


def test_staged_copy_is_deleted(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore
) -> None:
    batch_id = submissions.open()
    item_id = submissions.stage(batch_id, "a", picture(1301))
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    with pytest.raises(ObjectMissing):
        store.size(staged_key(submissions.tenant_id, item_id))


def test_staged_lie_is_mismatch(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id = submissions.open()
    submissions.stage(batch_id, "lie", picture(1302), sha256="0" * 64)
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    assert (submissions.codes(batch_id), submissions.items(batch_id)["lie"].image_id) == (
        {"lie": "checksum_mismatch"},
        None,
    )


def test_known_hash_covers_no_lie(worker: WorkerProcess, submissions: Submissions) -> None:
    known = picture(1303)
    _, (first,) = submissions.submit({"a": known}, send=False)
    worker.attribute_shard(first)
    batch_id = submissions.open()
    sha256 = FakeAttributor().prepare(known).sha256
    submissions.stage(batch_id, "lie", picture(1304), sha256=sha256)
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"lie": "checksum_mismatch"}


def test_absent_upload_is_missing(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id = submissions.open()
    submissions.stage(batch_id, "never", None, sha256="1" * 64)
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"never": "object_missing"}
