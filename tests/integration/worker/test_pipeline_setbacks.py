"""A store that is away, images and models that fail, shards that are lost, cancelled or given back."""

from typing import IO
from uuid import UUID

import pytest
from sqlalchemy import Engine, update

from leaktrace.objects import ObjectStoreUnavailable, S3ObjectStore, image_key
from leaktrace.records.batches import cancel_batch
from leaktrace.records.database import transaction
from leaktrace.records.models import Shard
from tests.attributors import FakeAttributor
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


def test_known_image_is_not_read(
    make_worker: MakeWorker, submissions: Submissions, store: S3ObjectStore
) -> None:
    data = picture(1150)
    _, (first,) = submissions.submit({"a": data}, send=False)
    make_worker().attribute_shard(first)
    batch_id, (second,) = submissions.submit({"again": data}, send=False)
    make_worker(store=AbsentStore(store)).attribute_shard(second)
    assert submissions.counts(batch_id) == {"succeeded": 1}


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
