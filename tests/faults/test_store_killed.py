"""SIGKILL of the object store in the middle of a batch: no image is blamed, and the same worker goes on."""

from deploy.embedded.servers import EmbeddedServers
from tests.faults.conftest import Processes
from tests.faults.test_worker_killed import SLOWLY, is_half_done
from tests.submissions import Submissions, pictures, wait_until


def test_batch_survives_store_kill(
    servers: EmbeddedServers, processes: Processes, submissions: Submissions
) -> None:
    processes.beat()
    worker = processes.worker(**SLOWLY)
    batch_id, _ = submissions.submit(pictures(80), shard_images=8)
    wait_until(lambda: is_half_done(submissions, batch_id))
    killed = servers.seaweed.pid
    servers.seaweed.kill()
    wait_until(lambda: b"shard_released" in worker.log.read_bytes())
    servers.seaweed.restart()
    submissions.wait_for(batch_id)
    assert servers.seaweed.pid != killed
    assert (worker.is_alive(), submissions.counts(batch_id)) == (True, {"succeeded": 80})
