"""Keeps the density of an idle process current: it compares with the active one every few seconds, as a shard does.

So a promotion or a rollback reaches every worker within seconds, whether or not it has work, and what a worker says
that it runs is what it runs. On a thread of its own, since the swap waits for the device and the heartbeat must not.
"""

import threading

from sqlalchemy import Engine

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.densities import active_density
from worker.loaded_models import LoadedModel

INTERVAL_SECONDS = 10.0

log = get_logger(__name__)


class DensityWatch:
    """`start` once the process takes work, `stop` before its executor is closed."""

    def __init__(self, engine: Engine, store: ObjectStore, model: LoadedModel) -> None:
        self._engine, self._store, self._model = engine, store, model
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="density-watch", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when the last look is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Compare once and swap if another density is active."""
        try:
            with transaction(self._engine) as session:
                active = active_density(session, self._model.version)
            self._model.refresh_density(active, self._store)
        except Unavailable as error:
            log.warning("density_not_refreshed", error=str(error))

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_SECONDS):
            try:
                self.look()
            except Exception:  # the next look may find better, and each shard compares for itself
                log.exception("density_watch_failed")
