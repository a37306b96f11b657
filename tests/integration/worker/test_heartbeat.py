"""The heartbeat on real rows: leases are renewed, the worker is seen alive, and it is gone once it has stopped."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, update

from leaktrace.records.database import transaction
from leaktrace.records.leases import claim_shard
from leaktrace.records.models import Shard, Worker
from tests.attributors import FakeAttributor
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, pictures, wait_until
from worker.held_leases import HeldLeases
from worker.process import WorkerProcess


def row_of(engine: Engine, worker: WorkerProcess) -> Worker | None:
    with transaction(engine) as session:
        return session.get(Worker, worker.worker_id)


def test_ready_worker_is_seen(make_worker: MakeWorker, engine: Engine) -> None:
    worker = make_worker()
    before = row_of(engine, worker)
    worker.ready(takes_shards=True)
    wait_until(lambda: row_of(engine, worker) is not None)
    seen = row_of(engine, worker)
    assert before is None
    assert seen is not None
    assert (seen.model_version, seen.device) == (FakeAttributor.version, "cpu")


def test_seen_at_moves_on(make_worker: MakeWorker, engine: Engine) -> None:
    worker = make_worker(lease_seconds=0.3)
    worker.ready(takes_shards=True)
    wait_until(lambda: row_of(engine, worker) is not None)
    first = row_of(engine, worker)
    assert first is not None
    wait_until(lambda: (row_of(engine, worker) or first).seen_at > first.seen_at)


def test_stopped_worker_is_gone(make_worker: MakeWorker, engine: Engine) -> None:
    worker = make_worker()
    worker.ready(takes_shards=True)
    wait_until(lambda: row_of(engine, worker) is not None)
    worker.halt()
    worker.stop()
    assert row_of(engine, worker) is None


def test_held_lease_is_extended(submissions: Submissions, engine: Engine) -> None:
    _, (shard_id,) = submissions.submit(pictures(1), send=False)
    leases = HeldLeases(lease_seconds=600)
    with transaction(engine) as session:
        lease = claim_shard(session, shard_id, owner="w/1", lease_seconds=5, model_version="m")
    assert lease is not None
    with leases.hold(lease):
        leases.renew(engine)
    with transaction(engine) as session:
        expires_at = session.get_one(Shard, shard_id).lease_expires_at
    assert expires_at is not None
    assert expires_at > datetime.now(UTC) + timedelta(seconds=300)


def test_stolen_lease_is_noticed(submissions: Submissions, engine: Engine) -> None:
    _, (shard_id,) = submissions.submit(pictures(1), send=False)
    leases = HeldLeases(lease_seconds=600)
    with transaction(engine) as session:
        lease = claim_shard(session, shard_id, owner="w/1", lease_seconds=5, model_version="m")
    assert lease is not None
    with leases.hold(lease):
        with transaction(engine) as session:
            session.execute(update(Shard).where(Shard.id == shard_id).values(lease_owner="w/2"))
        leases.renew(engine)
        assert len(leases) == 0
