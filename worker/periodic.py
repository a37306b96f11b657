"""How a periodic job is kept from running twice at once, whoever scheduled it. Knows nothing of any job."""

from collections.abc import Callable

from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.locks import LONGEST_JOB_SECONDS, try_lock


def run_alone(
    engine: Engine, lock: int, job: Callable[[], None], *, longest_seconds: int = LONGEST_JOB_SECONDS
) -> bool:
    """Do the job, in transactions of its own, unless somebody else does it now; says whether it was done."""
    with transaction(engine) as guard:
        if not try_lock(guard, lock, longest_seconds=longest_seconds):
            return False
        job()
    return True
