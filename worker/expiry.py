"""Ends what is out of time: batches past their `expires_at`, idempotency keys that are no longer promised, the
console's sessions, and events that tenants were told of long ago.

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
from leaktrace.records.locks import EXPIRY_LOCK, try_lock
from leaktrace.records.webhooks import purge_events

BATCHES_A_RUN = 100
SHARDS_A_RUN = 5_000

log = get_logger(__name__)


def expire(engine: Engine) -> bool:
    """Expire and purge unless somebody else does so just now; says whether it did."""
    with transaction(engine) as guard:
        if not try_lock(guard, EXPIRY_LOCK):
            return False
        batches = _expire_batches(engine)
        shards = _drop_held(engine)
        with transaction(engine) as session:
            keys, visits = purge_idempotency_keys(session), purge_sessions(session)
        with transaction(engine) as session:
            events = purge_events(session)
    if batches or shards or keys or visits or events:
        log.info(
            "expired",
            batches=batches,
            shards=shards,
            idempotency_keys=keys,
            console_sessions=visits,
            events=events,
        )
    return True


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
