"""SIGKILL of the worker: by us in the middle of a batch, and by an image that takes the process down each time."""

import os
import signal

from tests.faults.conftest import Processes
from tests.faults.killable_attributor import KILL
from tests.submissions import Submissions, picture, pictures, wait_until

SLOWLY = {"TEST_SECONDS_AN_IMAGE": "0.05"}


def is_half_done(submissions: Submissions, batch_id: object) -> bool:
    counts = submissions.counts(batch_id)
    return counts.get("running", 0) > 0 and counts.get("succeeded", 0) > 0


def test_batch_survives_worker_kill(processes: Processes, submissions: Submissions) -> None:
    processes.beat()
    worker = processes.worker(**SLOWLY)
    batch_id, _ = submissions.submit(pictures(60), shard_images=6)
    wait_until(lambda: is_half_done(submissions, batch_id))
    worker.kill()
    interrupted = submissions.counts(batch_id)
    processes.worker()
    submissions.wait_for(batch_id)
    assert (interrupted["running"] > 0, submissions.counts(batch_id)) == (True, {"succeeded": 60})


def test_killing_image_fails_alone(processes: Processes, submissions: Submissions) -> None:
    processes.beat()
    files = {"neighbour": picture(100), "poison": picture(199) + KILL}
    batch_id, _ = submissions.submit(files, shard_images=2)
    deaths = -1

    def supervise() -> bool:
        nonlocal deaths
        if not processes.started[-1].is_alive() or deaths < 0:
            deaths += 1
            processes.starting_worker(LEAKTRACE_MAX_ATTEMPTS="2")
        return submissions.state(batch_id) == "completed"

    wait_until(supervise, seconds=180)
    codes = {custom_id: code for custom_id, code in submissions.codes(batch_id).items() if code}
    # Twice as a pair, and once more alone, which is the second attempt that is counted against it.
    assert (codes, deaths) == ({"poison": "worker_lost"}, 3)


def test_frozen_worker_drops_results(processes: Processes, submissions: Submissions) -> None:
    processes.beat()
    frozen = processes.worker(**SLOWLY)
    batch_id, _ = submissions.submit(pictures(16, first_seed=700), shard_images=16)
    wait_until(lambda: submissions.counts(batch_id).get("running", 0) == 16)
    os.kill(frozen.pid, signal.SIGSTOP)
    processes.worker()
    submissions.wait_for(batch_id)
    finished = {custom_id: item.finished_at for custom_id, item in submissions.items(batch_id).items()}
    os.kill(frozen.pid, signal.SIGCONT)
    wait_until(lambda: b"lease_lost" in frozen.log.read_bytes())
    again = {custom_id: item.finished_at for custom_id, item in submissions.items(batch_id).items()}
    assert (again, submissions.counts(batch_id)) == (finished, {"succeeded": 16})
