"""Which tenants' densities could not be made, and when each is tried again: ever later, while nothing about it changes.

Kept in memory: a process that starts tries each once more. Knows nothing of why it could not be made.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from uuid import UUID

from worker.backoff import Backoff

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 3600.0


@dataclass
class _Failure:
    situation: Hashable
    again_at: float = 0.0
    backoff: Backoff = field(
        default_factory=lambda: Backoff(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)
    )


class LeftBehind:
    """Remembers the last failure of each tenant, and the situation that it was in, whatever that is."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[UUID, _Failure] = {}

    def is_due(self, tenant_id: UUID, situation: Hashable) -> bool:
        """Whether there is something to be gained by a try now."""
        last = self._failures.get(tenant_id)
        return last is None or last.situation != situation or self._clock() >= last.again_at

    def fail(self, tenant_id: UUID, situation: Hashable) -> float:
        """Note a try in vain; returns the seconds that the tenant is left alone, unless its situation changes."""
        last = self._failures.get(tenant_id)
        if last is None or last.situation != situation:
            last = self._failures[tenant_id] = _Failure(situation)
        seconds = last.backoff.fail()
        last.again_at = self._clock() + seconds
        return seconds
