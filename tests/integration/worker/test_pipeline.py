"""One shard after the other through a real database and object store, and what is recorded of each image."""

from concurrent.futures import ThreadPoolExecutor
from typing import IO
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, update

from leaktrace.objects import (
    ObjectMissing,
    ObjectStoreUnavailable,
    S3ObjectStore,
    image_key,
    staged_key,
    thumbnail_key,
)
from leaktrace.records.batches import cancel_batch
from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution, Image, Item, Shard
from tests.attributors import FakeAttributor, embedding_of
from tests.faults.killable_attributor import FAIL, KillableAttributor
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, picture, pictures
from worker.process import WorkerProcess


class AbsentStore(S3ObjectStore):
    """A store that is away for reads."""

    def __init__(self, real: S3ObjectStore) -> None:
        self._real = real

    def get(self, key: str) -> bytes:
        raise ObjectStoreUnavailable(f"{key}: no answer")

    def delete(self, keys: list[str]) -> None:
        self._real.delete(keys)


class PatchyStore(S3ObjectStore):
    """A store that cannot read one of its objects, though it is there."""

    def __init__(self, real: S3ObjectStore, unreadable: str) -> None:
        self._real, self._unreadable = real, unreadable

    def get(self, key: str) -> bytes:
        if key == self._unreadable:
            raise ObjectStoreUnavailable(f"{key}: internal error")
        return self._real.get(key)

    def put(self, key: str, body: bytes | IO[bytes], *, content_type: str) -> None:
        self._real.put(key, body, content_type=content_type)

    def delete(self, keys: list[str]) -> None:
        self._real.delete(keys)


def attribution_of(engine: Engine, item: Item) -> Attribution:
    with transaction(engine) as session:
        return session.get_one(Attribution, item.attribution_id)


def image_of(engine: Engine, item: Item) -> Image:
    with transaction(engine) as session:
        return session.get_one(Image, item.image_id)


def test_attributed_image_has_thumbnail(
    worker: WorkerProcess, submissions: Submissions, engine: Engine, store: S3ObjectStore
) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(1, first_seed=2600), send=False)
    worker.attribute_shard(shard_id)
    (item,) = submissions.items(batch_id).values()
    image = image_of(engine, item)
    assert store.get(thumbnail_key(image.tenant_id, image.sha256)).startswith(b"\xff\xd8")


def test_batch_is_attributed_completely(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, shard_ids = submissions.submit(pictures(10), send=False)
    for shard_id in shard_ids:
        worker.attribute_shard(shard_id)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("completed", {"succeeded": 10})


def test_embedding_is_stored_exactly(worker: WorkerProcess, submissions: Submissions, engine: Engine) -> None:
    data = picture(1001)
    batch_id, (shard_id,) = submissions.submit({"a": data}, send=False)
    worker.attribute_shard(shard_id)
    stored = attribution_of(engine, submissions.items(batch_id)["a"]).embedding
    expected = embedding_of(FakeAttributor().prepare(data).content_hash)
    assert np.array_equal(np.asarray(stored, dtype=np.float32), expected)


def test_attribution_names_its_makers(
    worker: WorkerProcess, submissions: Submissions, engine: Engine
) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1002)}, send=False)
    worker.attribute_shard(shard_id)
    made = attribution_of(engine, submissions.items(batch_id)["a"])
    assert (made.model_version, made.density_version, sorted(made.timings)) == (
        FakeAttributor.version,
        "fake-density-1",
        ["attribute", "decode", "fetch"],
    )


def test_image_gets_its_format(worker: WorkerProcess, submissions: Submissions, engine: Engine) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1003, side=160)}, send=False)
    worker.attribute_shard(shard_id)
    image = image_of(engine, submissions.items(batch_id)["a"])
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
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore, engine: Engine
) -> None:
    files = {"gone": picture(1120), "there": picture(1121)}
    batch_id, (shard_id,) = submissions.submit(files, send=False)
    image = image_of(engine, submissions.items(batch_id)["gone"])
    store.delete([image_key(submissions.tenant_id, image.sha256)])
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"gone": "object_missing", "there": None}


def test_altered_object_is_mismatch(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore, engine: Engine
) -> None:
    batch_id, (shard_id,) = submissions.submit({"a": picture(1130)}, send=False)
    sha256 = image_of(engine, submissions.items(batch_id)["a"]).sha256
    store.put(image_key(submissions.tenant_id, sha256), picture(1131), content_type="image/png")
    worker.attribute_shard(shard_id)
    assert submissions.codes(batch_id) == {"a": "checksum_mismatch"}


def test_same_image_is_attributed_once(worker: WorkerProcess, submissions: Submissions) -> None:
    before, data = submissions.attributions(), picture(1140)
    batch_id, (shard_id,) = submissions.submit({"a": data, "b": data}, send=False)
    worker.attribute_shard(shard_id)
    assert (submissions.counts(batch_id), submissions.attributions() - before) == ({"succeeded": 2}, 1)


def test_known_image_is_not_read(
    make_worker: MakeWorker, submissions: Submissions, store: S3ObjectStore
) -> None:
    data = picture(1150)
    _, (first,) = submissions.submit({"a": data}, send=False)
    make_worker().attribute_shard(first)
    batch_id, (second,) = submissions.submit({"again": data}, send=False)
    make_worker(store=AbsentStore(store)).attribute_shard(second)
    assert submissions.counts(batch_id) == {"succeeded": 1}


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


def test_staged_upload_becomes_image(
    worker: WorkerProcess, submissions: Submissions, store: S3ObjectStore, engine: Engine
) -> None:
    batch_id, data = submissions.open(), picture(1300)
    submissions.stage(batch_id, "a", data)
    (shard_id,) = submissions.close(batch_id, send=False)
    worker.attribute_shard(shard_id)
    image = image_of(engine, submissions.items(batch_id)["a"])
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


def test_absent_store_blames_no_image(
    make_worker: MakeWorker, submissions: Submissions, store: S3ObjectStore
) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(3, first_seed=1400), send=False)
    make_worker(store=AbsentStore(store)).attribute_shard(shard_id)
    (shard,), items = submissions.shards(batch_id), submissions.items(batch_id).values()
    assert (shard.state, shard.attempts, submissions.counts(batch_id)) == ("queued", 0, {"pending": 3})
    assert {item.attempts for item in items} == {0}


def test_released_shard_is_sent_again(
    make_worker: MakeWorker, submissions: Submissions, store: S3ObjectStore
) -> None:
    _, (shard_id,) = submissions.submit(pictures(1, first_seed=1410), send=False)
    before = submissions.queue.length()
    make_worker(store=AbsentStore(store)).attribute_shard(shard_id)
    assert submissions.queue.length() == before + 1


def test_unreadable_object_spares_neighbours(
    make_worker: MakeWorker, submissions: Submissions, store: S3ObjectStore
) -> None:
    files = pictures(6, first_seed=1450)
    batch_id, (shard_id,) = submissions.submit(files, shard_images=6, send=False)
    sha256 = FakeAttributor().prepare(files["image-1452"]).sha256
    patchy = PatchyStore(store, image_key(submissions.tenant_id, sha256))
    worker = make_worker(store=patchy, decode_threads=2)
    for _ in range(60):
        worker._pipeline.backoff.succeed()  # so that the test need not wait
        worker.attribute_shard(shard_id)
        if submissions.counts(batch_id).get("succeeded") == 5:
            break
    unread = submissions.items(batch_id)["image-1452"]
    assert (submissions.counts(batch_id), unread.state, unread.attempts) == (
        {"succeeded": 5, "pending": 1},
        "pending",
        0,
    )


def test_failing_image_is_found(make_worker: MakeWorker, submissions: Submissions) -> None:
    worker = make_worker(KillableAttributor())
    files = pictures(6, first_seed=1500) | {"culprit": picture(1599) + FAIL}
    batch_id, (shard_id,) = submissions.submit(files, shard_images=7, send=False)
    worker.attribute_shard(shard_id)
    codes = {custom_id: code for custom_id, code in submissions.codes(batch_id).items() if code}
    assert (codes, submissions.counts(batch_id)) == (
        {"culprit": "attribution_failed"},
        {"succeeded": 6, "failed": 1},
    )


class LeaseThief(FakeAttributor):
    """Lets another worker have the shard while this one attributes."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def attribute(self, images: object) -> object:
        with transaction(self._engine) as session:
            session.execute(update(Shard).where(Shard.state == "leased").values(lease_owner="another"))
        return super().attribute(images)  # type: ignore[arg-type]


def test_lost_lease_drops_results(make_worker: MakeWorker, submissions: Submissions, engine: Engine) -> None:
    before = submissions.attributions()
    batch_id, (shard_id,) = submissions.submit(pictures(3, first_seed=1600), send=False)
    make_worker(LeaseThief(engine)).attribute_shard(shard_id)
    assert (submissions.counts(batch_id), submissions.attributions()) == ({"running": 3}, before)


class BrokenModel(FakeAttributor):
    def attribute(self, _images: object) -> object:  # type: ignore[override]
        raise RuntimeError("device lost")

    def self_test(self) -> None:
        raise RuntimeError("device lost")


def test_broken_model_ends_worker(
    make_worker: MakeWorker, submissions: Submissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    monkeypatch.setattr("worker.halt.Halt.end_process", lambda _: ended.append(True))
    batch_id, (shard_id,) = submissions.submit(pictures(2, first_seed=1700), send=False)
    make_worker(BrokenModel()).attribute_shard(shard_id)
    (shard,) = submissions.shards(batch_id)
    assert (ended, shard.attempts, submissions.counts(batch_id)) == ([True], 1, {"running": 2})


def test_cancelled_batch_is_not_attributed(worker: WorkerProcess, submissions: Submissions) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2, first_seed=1800), send=False)
    with transaction(submissions.engine) as session:
        cancel_batch(session, submissions.tenant_id, batch_id=batch_id)
    worker.attribute_shard(shard_id)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("cancelled", {"cancelled": 2})


class CancellingAttributor(FakeAttributor):
    """Lets the client cancel the batch while the images are attributed."""

    def __init__(self, submissions: Submissions, batch_id: UUID) -> None:
        super().__init__()
        self._submissions, self._batch_id = submissions, batch_id

    def attribute(self, images: object) -> object:
        with transaction(self._submissions.engine) as session:
            cancel_batch(session, self._submissions.tenant_id, batch_id=self._batch_id)
        return super().attribute(images)  # type: ignore[arg-type]


def test_leased_shard_ends_before_cancelling(make_worker: MakeWorker, submissions: Submissions) -> None:
    batch_id, (first, _) = submissions.submit(pictures(4, first_seed=1810), shard_images=2, send=False)
    make_worker(CancellingAttributor(submissions, batch_id)).attribute_shard(first)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == (
        "cancelled",
        {"succeeded": 2, "cancelled": 2},
    )


def test_stopping_worker_sends_shard_back(make_worker: MakeWorker, submissions: Submissions) -> None:
    worker = make_worker()
    batch_id, (shard_id,) = submissions.submit(pictures(1, first_seed=1820), send=False)
    before = submissions.queue.length()
    worker.halt()
    worker.attribute_shard(shard_id)
    assert (submissions.queue.length(), submissions.counts(batch_id)) == (before + 1, {"pending": 1})
