"""Batches that run out of time, in whatever state, and idempotency keys that are no longer promised."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, update

from leaktrace.records.database import transaction
from leaktrace.records.leases import claim_shard
from leaktrace.records.locks import EXPIRY_LOCK, try_lock
from leaktrace.records.models import Batch, IdempotencyKey
from tests.attributors import FakeAttributor
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, pictures
from worker.expiry import expire


def run_out(engine: Engine, batch_id: UUID) -> None:
    with transaction(engine) as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(Batch).where(Batch.id == batch_id).values(expires_at=past))


def test_unclosed_batch_expires(submissions: Submissions, engine: Engine) -> None:
    batch_id = submissions.open(expires_in=-timedelta(seconds=1))
    submissions.upload(batch_id, pictures(2))
    expire(engine)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("expired", {"cancelled": 2})


def test_batch_in_time_stays(submissions: Submissions, engine: Engine) -> None:
    batch_id, _ = submissions.submit(pictures(1), send=False)
    expire(engine)
    assert submissions.state(batch_id) == "queued"


def test_finished_batch_stays(make_worker: MakeWorker, submissions: Submissions, engine: Engine) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(1), send=False)
    make_worker().attribute_shard(shard_id)
    run_out(engine, batch_id)
    expire(engine)
    assert submissions.state(batch_id) == "completed"


def test_results_before_expiry_stay(
    make_worker: MakeWorker, submissions: Submissions, engine: Engine
) -> None:
    batch_id, shard_ids = submissions.submit(pictures(4), shard_images=2, send=False)
    make_worker().attribute_shard(shard_ids[0])
    run_out(engine, batch_id)
    expire(engine)
    assert submissions.counts(batch_id) == {"succeeded": 2, "cancelled": 2}


def test_leased_shard_is_taken(submissions: Submissions, engine: Engine) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2), send=False)
    with transaction(engine) as session:
        assert claim_shard(
            session, shard_id, owner="w", lease_seconds=60, model_version=FakeAttributor.version
        )
    run_out(engine, batch_id)
    expire(engine)
    assert (submissions.counts(batch_id), submissions.shards(batch_id)[0].state) == ({"cancelled": 2}, "done")


def test_expired_shard_is_not_claimed(
    make_worker: MakeWorker, submissions: Submissions, engine: Engine
) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2), send=False)
    run_out(engine, batch_id)
    expire(engine)
    make_worker().attribute_shard(shard_id)
    assert submissions.counts(batch_id) == {"cancelled": 2}


def test_old_answers_are_purged(submissions: Submissions, engine: Engine) -> None:
    tenant_id, now = submissions.tenant_id, datetime.now(UTC)
    with transaction(engine) as session:
        for name, expires_at in (("old", now - timedelta(hours=1)), ("new", now + timedelta(hours=1))):
            session.add(
                IdempotencyKey(
                    tenant_id=tenant_id, route="r", key=name, payload_sha256="0", expires_at=expires_at
                )
            )
    expire(engine)
    with transaction(engine) as session:
        left = [session.get(IdempotencyKey, (tenant_id, "r", name)) for name in ("old", "new")]
    assert [key is not None for key in left] == [False, True]


def test_one_expiry_at_a_time(engine: Engine) -> None:
    with transaction(engine) as other:
        assert try_lock(other, EXPIRY_LOCK)
        assert expire(engine) is False
