"""Many workers, a sweeper, an expiry and cancelling clients at once: no deadlock, and one outcome an item."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import Engine, text

from leaktrace.queue import ShardQueue
from leaktrace.records.batches import cancel_batch
from leaktrace.records.database import transaction
from tests.integration.worker.conftest import MakeWorker
from tests.integration.worker.test_expiry import run_out
from tests.submissions import Submissions, pictures
from worker.expiry import expire
from worker.process import WorkerProcess
from worker.sweeper import Sweeper

FINISHED = {"completed", "cancelled", "expired"}
BATCHES = 9
IMAGES = 12


def deadlocks(engine: Engine) -> int:
    with transaction(engine) as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
        count = session.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert count is not None
    return int(count)


def repeatedly(job: Callable[[], object], until: threading.Event) -> None:
    while not until.is_set():
        job()


def cancel(submissions: Submissions, batch_id: UUID) -> None:
    with transaction(submissions.engine) as session:
        cancel_batch(session, submissions.tenant_id, batch_id=batch_id)


def disturb(submissions: Submissions, batch_ids: list[UUID]) -> None:
    """Every third batch is cancelled, every third runs out of time, while it is worked on."""
    for index, batch_id in enumerate(batch_ids):
        if submissions.state(batch_id) in FINISHED:
            continue
        if index % 3 == 1:
            cancel(submissions, batch_id)
        elif index % 3 == 2:
            run_out(submissions.engine, batch_id)


def attribute_all(workers: list[WorkerProcess], shard_ids: list[UUID]) -> None:
    with ThreadPoolExecutor(2 * len(workers)) as threads:
        jobs = [
            threads.submit(workers[place % len(workers)].attribute_shard, shard_id)
            for place, shard_id in enumerate([*shard_ids, *reversed(shard_ids)])
        ]
        for job in jobs:
            job.result()


def test_all_at_once_stays_consistent(
    make_worker: MakeWorker, submissions: Submissions, engine: Engine, queue: ShardQueue
) -> None:
    workers = [make_worker(lease_seconds=2) for _ in range(3)]
    submitted = [submissions.submit(pictures(IMAGES), shard_images=3, send=False) for _ in range(BATCHES)]
    batch_ids = [batch_id for batch_id, _ in submitted]
    # Dealt out like cards, so that the shards of one batch are worked on at the same time as those of others.
    shard_ids = [shard_id for group in zip(*(ids for _, ids in submitted), strict=True) for shard_id in group]
    sweeper = Sweeper(engine=engine, queue=queue, max_attempts=3, resend_after_seconds=60)
    over = threading.Event()
    with ThreadPoolExecutor(3) as others:
        upkeep = [others.submit(repeatedly, job, over) for job in (sweeper.sweep, lambda: expire(engine))]
        disturbance = others.submit(disturb, submissions, batch_ids)
        try:
            attribute_all(workers, shard_ids)
        finally:
            over.set()
        for job in (*upkeep, disturbance):
            job.result()
    expire(engine)
    sweeper.sweep()
    assert {submissions.state(batch_id) for batch_id in batch_ids} <= FINISHED
    assert [sum(submissions.counts(batch_id).values()) for batch_id in batch_ids] == [IMAGES] * BATCHES
    assert all(submissions.counts(batch_id).keys() <= {"succeeded", "cancelled"} for batch_id in batch_ids)
    assert deadlocks(engine) == 0
