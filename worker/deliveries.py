"""Delivers webhooks: leases endpoints that have something due and sends their messages, each endpoint on a thread.

Beat calls `run`, which returns at once; the threads go on. Endpoints that fail take at most half of the threads, so
that receivers which are slow or away never keep messages from those that work.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.records.database import transaction
from leaktrace.records.deliveries import (
    DueDelivery,
    EndpointLease,
    has_due,
    lease_endpoints,
    record_try,
    release_endpoint,
    take_due,
)
from worker.halt import Halt
from worker.webhook_sender import WebhookSender

ENDPOINTS_AT_ONCE = 16
ROUND_SECONDS = 20.0  # then others that wait get the thread

log = get_logger(__name__)


class Deliverer:
    """The deliveries of one process. Several processes share the work by their leases."""

    def __init__(
        self, engine: Engine, sender: WebhookSender, *, owner: str, lease_seconds: float, halt: Halt
    ) -> None:
        self._engine, self._sender, self._owner, self._halt = engine, sender, owner, halt
        # Renewed before each try, so it outlasts the longest one and the recording of it.
        self._lease_seconds = sender.seconds + lease_seconds
        self._threads = ThreadPoolExecutor(ENDPOINTS_AT_ONCE, thread_name_prefix="deliver")
        self._lock = threading.Lock()
        self._busy = {True: 0, False: 0}  # endpoints being served, by whether they were failing

    def run(self) -> int:
        """Begin to send what is due, as far as there are threads; returns to how many endpoints.

        Raises:
            Unavailable: the database is away.
        """
        with transaction(self._engine) as session:
            if self._halt.begun or not has_due(session):
                return 0
        leases = self._lease(failing=False) + self._lease(failing=True)
        for lease in leases:
            self._threads.submit(self._serve, lease)
        return len(leases)

    def close(self) -> None:
        """Wait for what is being sent."""
        self._threads.shutdown(cancel_futures=True)

    def _lease(self, *, failing: bool) -> list[EndpointLease]:
        with self._lock:
            free = ENDPOINTS_AT_ONCE - sum(self._busy.values())
            if failing:
                free = min(free, ENDPOINTS_AT_ONCE // 2 - self._busy[True])
            if free <= 0:
                return []
            with transaction(self._engine) as session:
                leases = lease_endpoints(
                    session, self._owner, limit=free, seconds=self._lease_seconds, failing=failing
                )
            self._busy[failing] += len(leases)
            return leases

    def _serve(self, lease: EndpointLease) -> None:
        try:
            self._send_round(lease)
        except Unavailable as error:
            log.warning("delivery_broken_off", webhook_id=str(lease.endpoint_id), error=str(error))
        except Exception as error:
            log.error("delivery_failed", webhook_id=str(lease.endpoint_id), exc_info=error)
        finally:
            with self._lock:
                self._busy[lease.failing] -= 1

    def _send_round(self, lease: EndpointLease) -> None:
        ends_at = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < ends_at and not self._halt.begun:
            with transaction(self._engine) as session:
                due = take_due(session, lease, seconds=self._lease_seconds)
            if due is None or not self._send_one(lease, due):
                break
        with transaction(self._engine) as session:
            release_endpoint(session, lease)

    def _send_one(self, lease: EndpointLease, due: DueDelivery) -> bool:
        """Whether the receiver took the message, and it was recorded that it did."""
        tried = self._sender.send(due)
        with transaction(self._engine) as session:
            recorded = record_try(session, lease, due.delivery_id, tried=tried)
        log.info(
            "webhook_sent" if tried.succeeded else "webhook_not_taken",
            webhook_id=str(lease.endpoint_id),
            webhook_event=due.event,
            message_id=due.event_id.hex,
            status=tried.status,
            error=tried.error,
            milliseconds=tried.milliseconds,
        )
        return tried.succeeded and recorded
