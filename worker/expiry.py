"""Ends what is out of time: batches past their `expires_at`, idempotency keys that are no longer promised, the
console's sessions, events that tenants were told of long ago, and what the operator wants kept no longer.

Guarded by an advisory lock, like the sweeper.
"""

from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.records.console_sessions import purge_sessions
from leaktrace.records.database import transaction
from leaktrace.records.expiring import (
    drop_expired,
    expire_batch,
    find_expired_holders,
    find_overdue,
    purge_idempotency_keys,
)
from leaktrace.records.locks import EXPIRY_LOCK
from leaktrace.records.webhooks import purge_events
from worker.periodic import run_alone
from worker.retention import RetentionRules, let_go

BATCHES_A_RUN = 100
SHARDS_A_RUN = 5_000

log = get_logger(__name__)


def expire(engine: Engine, retention: RetentionRules | None = None) -> bool:
    """Expire, purge and let go of what is too old unless somebody else does so just now; says whether it did."""
    rules = retention or RetentionRules()
    return run_alone(engine, EXPIRY_LOCK, lambda: _expire(engine, rules))


def _expire(engine: Engine, retention: RetentionRules) -> None:
    batches = _expire_batches(engine)
    shards = _drop_held(engine)
    with transaction(engine) as session:
        keys, visits = purge_idempotency_keys(session), purge_sessions(session)
    with transaction(engine) as session:
        events = purge_events(session)
    gone = let_go(engine, retention)
    if batches or shards or keys or visits or events or any(gone.values()):
        log.info(
            "expired",
            batches=batches,
            shards=shards,
            idempotency_keys=keys,
            console_sessions=visits,
            events=events,
            **gone,
        )


def _expire_batches(engine: Engine) -> int:
    with transaction(engine) as session:
        batch_ids = find_overdue(session, limit=BATCHES_A_RUN)
    for batch_id in batch_ids:
        with transaction(engine) as session:
            expire_batch(session, batch_id)
    return len(batch_ids)


def _drop_held(engine: Engine) -> int:
    with transaction(engine) as session:
        shard_ids = find_expired_holders(session, limit=SHARDS_A_RUN)
    for shard_id in shard_ids:
        with transaction(engine) as session:
            drop_expired(session, shard_id)
    return len(shard_ids)
