"""The leases that this process holds, and which of them it has lost.

The heartbeat renews all of them in one statement; the threads that work on them look here before they go on. Losing a
lease is final: the shard is somebody else's, and what was computed for it is dropped.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.records.database import transaction
from leaktrace.records.leases import Lease, renew_leases

log = get_logger(__name__)


class LeaseLost(Exception):
    """Somebody else may have the shard by now: drop what was computed for it."""


class HeldLeases:
    """Thread-safe; `hold` by the thread that works on the shard, `renew` by the heartbeat."""

    def __init__(self, *, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    @contextmanager
    def hold(self, lease: Lease) -> Iterator[None]:
        """Keep the lease renewed during the block."""
        with self._lock:
            self._held[lease.owner] = lease
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(lease.owner, None)

    def check(self, lease: Lease) -> None:
        """Raise `LeaseLost` when the lease was found to be lost."""
        with self._lock:
            if lease.owner not in self._held:
                raise LeaseLost

    def renew(self, engine: Engine) -> None:
        """Extend all leases; raises `DatabaseUnavailable`, after which they are still held as far as anyone knows."""
        with self._lock:
            leases = list(self._held.values())
        if not leases:
            return
        with transaction(engine) as session:
            kept = renew_leases(session, leases, lease_seconds=self.lease_seconds)
        for lease in leases:
            if lease.owner not in kept:
                self._lose(lease)

    def _lose(self, lease: Lease) -> None:
        # A shard that was saved a moment ago is no loss: its thread lets go of the lease by itself.
        with self._lock:
            lost = self._held.pop(lease.owner, None)
        if lost is not None:
            log.debug("lease_not_renewed", shard_id=str(lease.shard_id))
