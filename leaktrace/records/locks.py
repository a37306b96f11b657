"""The advisory locks that keep a periodic job from running twice at once, whoever scheduled it.

A lock lives as long as the transaction that took it, so a job that dies gives it back at once.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

SWEEP_LOCK = 7_201_002
EXPIRY_LOCK = 7_201_003
REFIT_LOCK = 7_201_004
EMBEDDING_INDEX_LOCK = 7_201_005
DISCOVERY_LOCK = 7_201_006
ENROLMENT_LOCK = 7_201_007


def try_lock(session: Session, key: int) -> bool:
    """Take the lock until the transaction ends; False when another transaction has it."""
    return bool(session.execute(select(func.pg_try_advisory_xact_lock(key))).scalar_one())
