"""The sweeper: takes back what dead workers held, sends lost messages again, finishes batches that nobody finished.

Postgres is the truth; whatever the broker lost or a killed worker left is found here. Several sweepers may be
scheduled: an advisory lock lets one sweep at a time.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.queue import ShardQueue, enqueue_after_commit
from leaktrace.records.database import transaction
from leaktrace.records.locks import SWEEP_LOCK
from leaktrace.records.shards import finish_batch_if_done
from leaktrace.records.sweeping import (
    count_queued,
    find_expired_leases,
    find_unfinished,
    forget_dead_workers,
    recover_shard,
    take_unsent,
)
from worker.periodic import run_alone

# A message is on its way at most this many sweeps before it is looked for.
SWEEPS_BEFORE_RESENDING = 3
SHARDS_A_SWEEP = 1_000
BATCHES_A_SWEEP = 100
# Far longer than such a sweep takes; a sweeper that stands still keeps others from sweeping this long at most.
LONGEST_SWEEP_SECONDS = 20

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """One sweep is one call; each shard and batch is mended in a transaction of its own."""

    engine: Engine
    queue: ShardQueue
    max_attempts: int
    resend_after_seconds: float

    def sweep(self) -> bool:
        """Sweep unless somebody else does so just now; says whether it did.

        Raises:
            QueueUnavailable: the broker is away; leases were swept, and the next sweep sends the messages.
        """
        return run_alone(self.engine, SWEEP_LOCK, self._sweep, longest_seconds=LONGEST_SWEEP_SECONDS)

    def _sweep(self) -> None:
        recovered = self._recover()
        finished = self._finish()
        with transaction(self.engine) as session:
            forget_dead_workers(session)
        resent = self._resend()
        if recovered or finished or resent:
            log.info("swept", recovered=recovered, finished=finished, resent=resent)

    def _recover(self) -> int:
        with transaction(self.engine) as session:
            shard_ids = find_expired_leases(session, limit=SHARDS_A_SWEEP)
        for shard_id in shard_ids:
            with transaction(self.engine) as session:
                self._recover_one(session, shard_id)
        return len(shard_ids)

    def _recover_one(self, session: Session, shard_id: UUID) -> None:
        to_send = recover_shard(session, shard_id, max_attempts=self.max_attempts)
        enqueue_after_commit(session, self.queue, to_send)

    def _finish(self) -> int:
        with transaction(self.engine) as session:
            batch_ids = find_unfinished(session, limit=BATCHES_A_SWEEP)
        for batch_id in batch_ids:
            with transaction(self.engine) as session:
                finish_batch_if_done(session, batch_id)
        return len(batch_ids)

    def _resend(self) -> int:
        with transaction(self.engine) as session:
            missing = count_queued(session) - self.queue.length()
            limit = max(0, min(missing, SHARDS_A_SWEEP))
            shard_ids = take_unsent(session, limit=limit, older_than_seconds=self.resend_after_seconds)
            enqueue_after_commit(session, self.queue, shard_ids)
        return len(shard_ids)
