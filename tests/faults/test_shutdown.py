"""A worker that is asked to stop gives back what it cannot finish, and one with a broken model never starts."""

import signal
import time

from tests.faults.conftest import Processes
from tests.submissions import Submissions, pictures, wait_until


def test_stopping_returns_the_shard(processes: Processes, submissions: Submissions) -> None:
    worker = processes.worker(TEST_SECONDS_AN_IMAGE="0.5", LEAKTRACE_LEASE_SECONDS="60")
    batch_id, _ = submissions.submit(pictures(40), shard_images=40)
    wait_until(lambda: submissions.counts(batch_id).get("running", 0) == 40)
    began = time.monotonic()
    worker.stop(signal.SIGTERM, grace_seconds=30)
    seconds = time.monotonic() - began
    (shard,) = submissions.shards(batch_id)
    assert (shard.state, shard.attempts, submissions.counts(batch_id)) == ("queued", 0, {"pending": 40})
    assert seconds < 15


def test_returned_shard_runs_at_once(processes: Processes, submissions: Submissions) -> None:
    worker = processes.worker(TEST_SECONDS_AN_IMAGE="0.5", LEAKTRACE_LEASE_SECONDS="60")
    batch_id, _ = submissions.submit(pictures(40, first_seed=100), shard_images=40)
    wait_until(lambda: submissions.counts(batch_id).get("running", 0) == 40)
    worker.stop(signal.SIGTERM, grace_seconds=30)
    processes.worker(LEAKTRACE_LEASE_SECONDS="60")  # without beat, so that no sweeper helps
    submissions.wait_for(batch_id)
    assert submissions.counts(batch_id) == {"succeeded": 40}


def test_short_work_is_finished(processes: Processes, submissions: Submissions) -> None:
    worker = processes.worker(TEST_SECONDS_AN_IMAGE="0.1")
    batch_id, _ = submissions.submit(pictures(10, first_seed=200), shard_images=10)
    wait_until(lambda: submissions.counts(batch_id).get("running", 0) == 10)
    worker.stop(signal.SIGTERM, grace_seconds=30)
    assert (submissions.state(batch_id), submissions.counts(batch_id)) == ("completed", {"succeeded": 10})


def test_broken_model_ends_the_process(processes: Processes) -> None:
    worker = processes.starting_worker(LEAKTRACE_MODEL="broken")
    status = worker.wait(90)
    assert (status, b"golden embeddings differ" in worker.log.read_bytes()) == (1, True)
