"""SIGKILL of the broker, which comes back on the same port: the worker that lived through it goes on by itself."""

import shutil

from deploy.embedded.servers import EmbeddedServers
from tests.faults.conftest import Processes
from tests.faults.test_worker_killed import SLOWLY, is_half_done
from tests.submissions import Submissions, pictures, wait_until


def test_batch_survives_broker_kill(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    processes.beat()
    worker = processes.worker(**SLOWLY)
    batch_id, _ = submissions.submit(pictures(80), shard_images=8)
    wait_until(lambda: is_half_done(submissions, batch_id))
    killed = servers.valkey.pid
    servers.valkey.kill()
    interrupted = submissions.counts(batch_id)
    servers.valkey.restart()
    submissions.wait_for(batch_id)
    assert servers.valkey.pid != killed
    assert interrupted["pending"] > 0
    assert (worker.is_alive(), submissions.counts(batch_id)) == (True, {"succeeded": 80})


def test_idle_worker_hears_again(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    processes.beat()
    worker = processes.worker()
    first, _ = submissions.submit(pictures(4, first_seed=200))
    submissions.wait_for(first)
    servers.valkey.kill()
    servers.valkey.restart()
    second, _ = submissions.submit(pictures(4, first_seed=300))
    submissions.wait_for(second)
    assert (worker.is_alive(), submissions.counts(second)) == (True, {"succeeded": 4})


def test_batch_closed_without_broker_runs(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    processes.beat()
    processes.worker()
    servers.valkey.kill()
    batch_id, _ = submissions.submit(pictures(6, first_seed=400))
    waiting = submissions.counts(batch_id)
    servers.valkey.restart()
    submissions.wait_for(batch_id)
    assert (waiting, submissions.counts(batch_id)) == ({"pending": 6}, {"succeeded": 6})


def test_emptied_broker_is_refilled(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    batch_id, _ = submissions.submit(pictures(12, first_seed=500))
    servers.valkey.kill()
    shutil.rmtree(servers.valkey.directory / "appendonlydir")
    servers.valkey.restart()
    remembered = submissions.queue.length()
    processes.beat()
    processes.worker()
    submissions.wait_for(batch_id)
    assert (remembered, submissions.counts(batch_id)) == (0, {"succeeded": 12})
