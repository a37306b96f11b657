"""Deletions in the background: part by part, to the end whatever happens, and nothing that others still show."""

import pytest
from sqlalchemy import Engine, func, select

from leaktrace.objects import ObjectMissing, ObjectStoreUnavailable, S3ObjectStore, image_key, thumbnail_key
from leaktrace.records.database import transaction
from leaktrace.records.deletion import accept_deletion
from leaktrace.records.locks import DELETION_LOCK, try_lock
from leaktrace.records.models import AuditEvent, Batch, Image, Item
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, pictures
from worker.deletion import Deleter


def finished(submissions: Submissions, make_worker: MakeWorker, *, seeds: int, first: int) -> Batch:
    """A batch whose deletion was accepted."""
    batch_id, shards = submissions.submit(pictures(seeds, first_seed=first), shard_images=16, send=False)
    for shard_id in shards:
        make_worker().attribute_shard(shard_id)
    with transaction(submissions.engine) as session:
        return accept_deletion(session, submissions.tenant_id, batch_id=batch_id, actor="key:test")


def test_all_goes_and_is_audited(
    submissions: Submissions, make_worker: MakeWorker, engine: Engine, store: S3ObjectStore
) -> None:
    batch = finished(submissions, make_worker, seeds=5, first=100)
    with transaction(engine) as session:
        statement = select(Image.sha256).join(Item, Item.image_id == Image.id)
        hashes = list(session.scalars(statement.where(Item.batch_id == batch.id)))
    Deleter(engine=engine, store=store, items_at_once=2).run()
    with transaction(engine) as session:
        left = session.scalar(select(func.count()).where(Image.sha256.in_(hashes)))
        event = session.scalars(
            select(AuditEvent).where(AuditEvent.subject == str(batch.id)).order_by(AuditEvent.id.desc())
        ).first()
        assert (left, session.get(Batch, batch.id)) == (0, None)
    assert event is not None
    assert (event.action, event.actor, event.details) == (
        "batch.deleted",
        "key:test",
        {"items": 5, "images": 5},
    )
    for key in (
        key(submissions.tenant_id, sha256) for sha256 in hashes for key in (image_key, thumbnail_key)
    ):
        with pytest.raises(ObjectMissing):
            store.size(key)


def test_shared_image_stays(
    submissions: Submissions, make_worker: MakeWorker, engine: Engine, store: S3ObjectStore
) -> None:
    kept, _ = submissions.submit(pictures(1, first_seed=200), send=False)
    finished(submissions, make_worker, seeds=2, first=200)
    Deleter(engine=engine, store=store, items_at_once=1).run()
    (item,) = submissions.items(kept).values()
    with transaction(engine) as session:
        image = session.get_one(Image, item.image_id)
    assert store.size(image_key(submissions.tenant_id, image.sha256)) > 0


class FailingStore:
    """Lets so many deletions pass, then fails as a store that went away, or as a process that was killed."""

    def __init__(self, real: S3ObjectStore, *, passes: int) -> None:
        self._real, self._left = real, passes

    def delete(self, keys: list[str]) -> None:
        self._left -= 1
        if self._left < 0:
            raise ObjectStoreUnavailable("away")
        self._real.delete(keys)


def test_broken_deletion_goes_on(
    submissions: Submissions, make_worker: MakeWorker, engine: Engine, store: S3ObjectStore
) -> None:
    batch = finished(submissions, make_worker, seeds=5, first=300)
    failing = FailingStore(store, passes=1)
    with pytest.raises(ObjectStoreUnavailable):
        Deleter(engine=engine, store=failing, items_at_once=2).run()  # type: ignore[arg-type]
    assert (submissions.state(batch.id), sum(submissions.counts(batch.id).values())) == ("deleting", 3)
    Deleter(engine=engine, store=store, items_at_once=2).run()
    with transaction(engine) as session:
        assert session.get(Batch, batch.id) is None


def test_one_run_at_a_time(engine: Engine, store: S3ObjectStore) -> None:
    with transaction(engine) as session:
        assert try_lock(session, DELETION_LOCK)
        assert Deleter(engine=engine, store=store).run() is False
