"""The advisory locks that keep a periodic job from running twice at once, whoever scheduled it.

A lock lives as long as the transaction that took it, so a job that dies gives it back at once. One that stands still
gives it back too: its transaction, idle while the job works in others, is ended after the time that the job may take.
"""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

SWEEP_LOCK = 7_201_002
EXPIRY_LOCK = 7_201_003
REFIT_LOCK = 7_201_004
EMBEDDING_INDEX_LOCK = 7_201_005
DISCOVERY_LOCK = 7_201_006
ENROLMENT_LOCK = 7_201_007
MAP_LOCK = 7_201_008
DELETION_LOCK = 7_201_021
TIDY_LOCK = 7_201_022
DRIFT_LOCK = 7_201_023
RESCORE_LOCK = 7_201_024


LONGEST_JOB_SECONDS = 1800


def try_lock(session: Session, key: int, *, longest_seconds: int = LONGEST_JOB_SECONDS) -> bool:
    """Take the lock until the transaction ends, or for at most so long; False when another transaction has it."""
    session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{longest_seconds:d}s'"))
    return bool(session.execute(select(func.pg_try_advisory_xact_lock(key))).scalar_one())
