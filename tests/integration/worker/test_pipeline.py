"""One shard after the other through a real database and object store, and what is recorded of each image."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from leaktrace.objects import S3ObjectStore, image_key, thumbnail_key
from tests.attributors import FakeAttributor, embedding_of
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, picture, pictures
from worker.process import WorkerProcess


def test_attributed_image_has_thumbnail(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore
) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(1, first_seed=2600), send=False)
    worker.attribute_shard(shard_id)
    image = submissions.image_of(batch_id, "image-2600")
    assert store.get(thumbnail_key(image.tenant_id, image.sha256)).startswith(b"\xff\xd8")


def test_batch_is_attributed_completely(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, shard_ids = submissions.submit(pictures(10), send=False)
    for shard_id in shard_ids:
        worker.attribute_shard(shard_id)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("completed", {"succeeded": 10})


def test_embedding_is_stored_exactly(worker: WorkerProcess, submissions: Submissions) -> None:
    data = picture(1001)
    batch_id, (shard_id,) = submissions.submit({"a": data}, send=False)
    worker.attribute_shard(shard_id)
    stored = submissions.attribution_of(batch_id, "a").embedding
    expected = embedding_of(FakeAttributor().prepare(data).content_hash)
    assert np.array_equal(np.asarray(stored, dtype=np.float32), expected)


def test_attribution_names_its_makers(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1002)}, send=False)
    worker.attribute_shard(shard_id)
    made = submissions.attribution_of(batch_id, "a")
    assert (made.model_version, made.density_version, sorted(made.timings)) == (
        FakeAttributor.version,
        "fake-density-1",
        ["attribute", "decode", "fetch"],
    )


def test_image_gets_its_format(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1003, side=160)}, send=False)
    worker.attribute_shard(shard_id)
    image = submissions.image_of(batch_id, "a")
    assert (image.format, image.width, image.height) == ("PNG", 160, 160)


def test_second_message_changes_nothing(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(3, first_seed=1010), send=False)
    worker.attribute_shard(shard_id)
    before = [shard.finished_at for shard in submissions.shards(batch_id)]
    worker.attribute_shard(shard_id)
    assert [shard.finished_at for shard in submissions.shards(batch_id)] == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"GIF-like text that is none", "unsupported_format"),
        (picture(1100)[:4000], "truncated"),
        (picture(1101, side=64), "too_small"),
    ],
)
def test_bad_image_spares_neighbours(
    worker: WorkerProcess, submissions: Submissions, data: bytes, code: str
) -> None:
    batch_id, (shard_id,) = submissions.submit({"good": picture(1102), "bad": data}, send=False)
    worker.attribute_shard(shard_id)
    assert (submissions.state(batch_id), submissions.codes(batch_id)) == (
        "completed",
        {"good": None, "bad": code},
    )


def test_limits_come_from_settings(make_worker: MakeWorker, submissions: Submissions) -> None:
    worker = make_worker(max_image_pixels=128 * 128)
    files = {"fits": picture(1110), "large": picture(1111, side=136)}
    batch_id, (shard_id,) = submissions.submit(files, send=False)
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"fits": None, "large": "too_many_pixels"}


def test_vanished_object_is_missing(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore
) -> None:
    files = {"gone": picture(1120), "there": picture(1121)}
    batch_id, (shard_id,) = submissions.submit(files, send=False)
    image = submissions.image_of(batch_id, "gone")
    store.delete([image_key(submissions.tenant_id, image.sha256)])
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"gone": "object_missing", "there": None}


def test_altered_object_is_mismatch(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore
) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1130)}, send=False)
    sha256 = submissions.image_of(batch_id, "a").sha256
    store.put(image_key(submissions.tenant_id, sha256), picture(1131), content_type="image/png")
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"a": "checksum_mismatch"}


def test_same_image_is_attributed_once(worker: WorkerProcess, submissions: Submissions) -> None:
    before, data = submissions.attributions(), picture(1140)
    batch_id, (shard_id,) = submissions.submit({"a": data, "b": data}, send=False)
    worker.attribute_shard(shard_id)
    assert (submissions.counts(batch_id), submissions.attributions() - before) == ({"succeeded": 2}, 1)


def test_racing_shards_share_attributions(make_worker: MakeWorker, submissions: Submissions) -> None:
    before, files = submissions.attributions(), pictures(12, first_seed=1200)
    backwards = dict(reversed(files.items()))
    first, first_shards = submissions.submit(files, shard_images=12, send=False)
    second, second_shards = submissions.submit(backwards, shard_images=12, send=False)
    workers = [make_worker(), make_worker()]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda w, s: w.attribute_shard(s), workers, first_shards + second_shards))
    assert submissions.counts(first) == submissions.counts(second) == {"succeeded": 12}
    assert submissions.attributions() - before == 12
