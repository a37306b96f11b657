"""What the sweeper takes back, cuts in half, fails, sends again and finishes, on real rows and a real broker."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, update

from leaktrace.queue import ShardQueue
from leaktrace.records.database import DatabaseUnavailable, transaction
from leaktrace.records.leases import Lease, claim_shard, renew_leases
from leaktrace.records.locks import SWEEP_LOCK, try_lock
from leaktrace.records.models import Batch, Shard
from leaktrace.records.outcomes import Failure, Outcome, save_outcomes, save_part
from leaktrace.records.registry import register_worker
from leaktrace.records.shards import enter_state
from tests.attributors import FakeAttributor
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, pictures, wait_until
from worker.sweeper import Sweeper

MAX_ATTEMPTS = 3


@pytest.fixture
def sweeper(engine: Engine, queue: ShardQueue) -> Sweeper:
    return Sweeper(engine=engine, queue=queue, max_attempts=MAX_ATTEMPTS, resend_after_seconds=60)


def claim(engine: Engine, shard_id: UUID, *, owner: str = "w/1", lease_seconds: float = 60) -> Lease:
    with transaction(engine) as session:
        lease = claim_shard(
            session, shard_id, owner=owner, lease_seconds=lease_seconds, model_version=FakeAttributor.version
        )
    assert lease is not None
    return lease


def die_with(engine: Engine, shard_id: UUID, sweeper: Sweeper) -> None:
    """A worker claims the shard and is never heard of again."""
    claim(engine, shard_id, lease_seconds=-1)
    sweeper.sweep()


def test_living_lease_is_left(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2), send=False)
    claim(engine, shard_id)
    sweeper.sweep()
    assert submissions.counts(batch_id) == {"running": 2}


def test_first_death_requeues_whole(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(4), send=False)
    die_with(engine, shard_id, sweeper)
    (shard,) = submissions.shards(batch_id)
    assert (shard.state, shard.attempts, submissions.counts(batch_id)) == ("queued", 1, {"pending": 4})


def test_recovered_shard_is_sent(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    _, (shard_id,) = submissions.submit(pictures(1), send=False)
    before = submissions.queue.length()
    die_with(engine, shard_id, sweeper)
    assert submissions.queue.length() == before + 1


def test_second_death_cuts_in_half(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(5), shard_images=5, send=False)
    for _ in range(2):
        die_with(engine, shard_id, sweeper)
    whole, *halves = submissions.shards(batch_id)
    members = [item.shard_id for item in submissions.items(batch_id).values()]
    assert whole.state == "done"
    assert [(half.state, half.attempts, members.count(half.id)) for half in halves] == [
        ("queued", 1, 2),
        ("queued", 1, 3),
    ]


def test_half_is_cut_at_once(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(4), send=False)
    for _ in range(2):
        die_with(engine, shard_id, sweeper)
    half = submissions.shards(batch_id)[1]
    die_with(engine, half.id, sweeper)
    assert [shard.state for shard in submissions.shards(batch_id)] == [
        "done", "done", "queued", "queued", "queued",
    ]  # fmt: skip


def test_lone_killer_fails_capped(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(1), send=False)
    for _ in range(MAX_ATTEMPTS - 1):
        die_with(engine, shard_id, sweeper)
    assert submissions.counts(batch_id) == {"pending": 1}
    die_with(engine, shard_id, sweeper)
    assert (submissions.state(batch_id), submissions.codes(batch_id)) == (
        "completed",
        {"image-0": "worker_lost"},
    )


def test_any_killer_is_found_alone(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, _ = submissions.submit(pictures(7), shard_images=7, send=False)
    killer = submissions.items(batch_id)["image-4"].id
    while submissions.state(batch_id) != "completed":
        for shard in [shard for shard in submissions.shards(batch_id) if shard.state == "queued"]:
            members = {item.id for item in submissions.items(batch_id).values() if item.shard_id == shard.id}
            if killer in members:
                die_with(engine, shard.id, sweeper)
            else:
                _finish_by_failing(engine, shard.id)
    codes = submissions.codes(batch_id)
    assert {custom_id for custom_id, code in codes.items() if code == "worker_lost"} == {"image-4"}


def _finish_by_failing(engine: Engine, shard_id: UUID) -> None:
    lease = claim(engine, shard_id, owner=f"w/{shard_id}")
    failure = Failure(code="corrupt", detail="stands for any outcome")
    outcomes = [
        Outcome(item_ids=(item.item_id,), image_id=item.image_id, result=failure) for item in lease.items
    ]
    with transaction(engine) as session:
        assert save_outcomes(session, lease, outcomes, model_version=FakeAttributor.version)


def test_lost_messages_are_resent(submissions: Submissions, engine: Engine, queue: ShardQueue) -> None:
    submissions.submit(pictures(3), shard_images=1, send=False)
    with transaction(engine) as session:
        session.execute(update(Shard).values(enqueued_at=datetime.now(UTC) - timedelta(minutes=5)))
    _empty(queue)
    eager = Sweeper(engine=engine, queue=queue, max_attempts=3, resend_after_seconds=60)
    eager.sweep()
    sent = queue.length()
    eager.sweep()
    assert (sent >= 3, queue.length()) == (True, sent)


def test_fresh_messages_are_waited_for(submissions: Submissions, sweeper: Sweeper, queue: ShardQueue) -> None:
    sweeper.sweep()
    _empty(queue)
    submissions.submit(pictures(2), shard_images=1, send=False)
    sweeper.sweep()
    assert queue.length() == 0


def _empty(queue: ShardQueue) -> None:
    with queue._app.connection_or_acquire() as connection:
        connection.channel().queue_purge("attribute")


def test_unfinished_batch_is_finished(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id = submissions.open()
    with transaction(engine) as session:
        enter_state(session.get_one(Batch, batch_id), "in_progress")
    sweeper.sweep()
    assert submissions.state(batch_id) == "completed"


def test_cancelled_batch_is_swept_up(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2), send=False)
    claim(engine, shard_id, lease_seconds=-1)
    with transaction(engine) as session:
        enter_state(session.get_one(Batch, batch_id), "cancelling")
    sweeper.sweep()
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("cancelled", {"cancelled": 2})


def test_one_sweep_at_a_time(engine: Engine, sweeper: Sweeper) -> None:
    with transaction(engine) as other:
        assert try_lock(other, SWEEP_LOCK)
        assert sweeper.sweep() is False


def test_standing_sweeper_loses_lock(engine: Engine, sweeper: Sweeper) -> None:
    with pytest.raises(DatabaseUnavailable):
        _stand_still(engine, sweeper)


def _stand_still(engine: Engine, sweeper: Sweeper) -> None:
    """Hold the lock, idle, until another sweep has been possible."""
    with transaction(engine) as session:
        assert try_lock(session, SWEEP_LOCK, longest_seconds=1)
        wait_until(sweeper.sweep)


def test_shard_being_saved_is_skipped(submissions: Submissions, engine: Engine, sweeper: Sweeper) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(1), send=False)
    claim(engine, shard_id, lease_seconds=-1)
    with transaction(engine) as saving:
        saving.get_one(Shard, shard_id, with_for_update=True)
        sweeper.sweep()
    assert submissions.counts(batch_id) == {"running": 1}


def test_dead_workers_are_forgotten(make_worker: MakeWorker, engine: Engine, sweeper: Sweeper) -> None:
    from leaktrace.records.models import Worker

    make_worker()
    with transaction(engine) as session:
        register_worker(
            session, "old", model_version=FakeAttributor.version, density_version="d", device="cpu"
        )
        session.get_one(Worker, "old").seen_at = datetime.now(UTC) - timedelta(days=2)
    sweeper.sweep()
    with transaction(engine) as session:
        assert session.get(Worker, "old") is None


def test_renewal_tells_lost_from_kept(submissions: Submissions, engine: Engine) -> None:
    _, shard_ids = submissions.submit(pictures(2), shard_images=1, send=False)
    kept, lost = (claim(engine, shard_id, owner=f"w/{shard_id}") for shard_id in shard_ids)
    with transaction(engine) as session:
        assert save_part(session, lost, [], model_version=FakeAttributor.version)
    with transaction(engine) as session:
        assert renew_leases(session, [kept, lost], lease_seconds=60) == {kept.owner}


def test_claim_may_be_repeated(submissions: Submissions, engine: Engine) -> None:
    batch_id, (shard_id,) = submissions.submit(pictures(2), send=False)
    first, second = claim(engine, shard_id), claim(engine, shard_id)
    assert (first, submissions.shards(batch_id)[0].attempts) == (second, 1)


def test_claimed_shard_is_refused(submissions: Submissions, engine: Engine) -> None:
    _, (shard_id,) = submissions.submit(pictures(1), send=False)
    claim(engine, shard_id, owner="w/1")
    with transaction(engine) as session:
        other = claim_shard(session, shard_id, owner="w/2", lease_seconds=9, model_version="m")
    assert other is None
