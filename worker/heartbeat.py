"""The heartbeat of a worker process: it renews the leases, says that the worker lives, and reports its progress.

A process that has work and does none for long stops saying that it lives and ends itself, so that its supervisor
starts another: its device may hang, or its consumer may not have come back after the broker was away. Runs on a
thread of its own; a server that is away is met again at the next beat.
"""

import threading
from collections.abc import Callable

from sqlalchemy import Engine

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.queue import ShardQueue
from leaktrace.records.database import transaction
from leaktrace.records.registry import register_worker
from worker.halt import Halt
from worker.held_leases import HeldLeases
from worker.loaded_models import LoadedModel
from worker.progress import Progress

LONGEST_INTERVAL_SECONDS = 10.0
BEATS_A_LEASE = 3

log = get_logger(__name__)


class Heartbeat:
    """`start` once the process takes work, `stop` after its last shard."""

    def __init__(
        self,
        *,
        worker_id: str,
        device: str,
        engine: Engine,
        queue: ShardQueue,
        model: LoadedModel,
        leases: HeldLeases,
        progress: Progress,
        halt: Halt,
    ) -> None:
        self._worker_id = worker_id
        self._device = device
        self._engine = engine
        self._queue = queue
        self._model = model
        self._leases = leases
        self._progress = progress
        self._halt = halt
        self.interval_seconds = min(LONGEST_INTERVAL_SECONDS, leases.lease_seconds / BEATS_A_LEASE)
        self._takes_shards = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self, *, takes_shards: bool) -> None:
        """Beat from now on. A process that takes no shards is not measured by those that wait."""
        self._takes_shards = takes_shards
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; returns when the last beat is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> None:
        """One beat: leases first, since everything else can wait."""
        _tolerate("leases_not_renewed", lambda: self._leases.renew(self._engine))
        if self._progress.report(work_waits=self._work_waits()):
            _tolerate("worker_not_seen", self._say_alive)
        else:
            log.critical("worker_makes_no_progress", leases=len(self._leases))
            self._halt.end_process()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.beat()
            except Exception:  # the leases of this process depend on this thread
                log.exception("heartbeat_failed")
            self._stopping.wait(self.interval_seconds)

    def _work_waits(self) -> bool:
        if len(self._leases) or not self._takes_shards:
            return len(self._leases) > 0
        try:
            return self._queue.length() > 0
        except Unavailable:
            return False  # without its broker the worker has nothing to do and is not to blame

    def _say_alive(self) -> None:
        with transaction(self._engine) as session:
            register_worker(
                session,
                self._worker_id,
                model_version=self._model.version,
                density_version=self._model.density_version,
                device=self._device,
            )


def _tolerate(event: str, step: Callable[[], None]) -> None:
    try:
        step()
    except Unavailable as error:
        log.warning(event, error=str(error))
