"""SIGKILL of Postgres in the middle of a batch: nothing that was recorded is lost, and the same worker goes on."""

from deploy.embedded.servers import EmbeddedServers
from tests.faults.conftest import Processes
from tests.faults.test_worker_killed import SLOWLY, is_half_done
from tests.submissions import Submissions, pictures, wait_until


def test_batch_survives_postgres_kill(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    processes.beat()
    worker = processes.worker(**SLOWLY)
    batch_id, _ = submissions.submit(pictures(80), shard_images=8)
    wait_until(lambda: is_half_done(submissions, batch_id))
    interrupted = submissions.counts(batch_id)
    killed = servers.postgres.pid
    servers.postgres.kill()
    servers.postgres.restart()
    kept = submissions.counts(batch_id)
    submissions.wait_for(batch_id)
    assert servers.postgres.pid != killed
    assert kept["succeeded"] >= interrupted["succeeded"]
    assert (worker.is_alive(), submissions.counts(batch_id)) == (True, {"succeeded": 80})
