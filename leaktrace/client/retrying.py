"""When a request is sent again, and after how long: the rules alone, without sending anything.

Pure functions over statuses, headers and errors, so that a synchronous and an asynchronous client share them. Waits
grow exponentially with full jitter; a `Retry-After` of the service is kept to.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class RetryRules:
    """How long one request is tried before its failure is raised."""

    give_up_after_seconds: float = 120.0
    first_wait_seconds: float = 0.25
    longest_wait_seconds: float = 10.0

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after failure number `attempt` (1, 2, ...), drawn anew at every call."""
        ceiling = min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** (attempt - 1))
        return random.uniform(ceiling / 2, ceiling)

    def wait_before_retry(
        self, attempt: int, *, elapsed_seconds: float, retry_after: float | None = None
    ) -> float | None:
        """Seconds to wait before the next try; None when the time that one request may take is over."""
        wait = max(self.backoff(attempt), retry_after or 0.0)
        return wait if elapsed_seconds + wait <= self.give_up_after_seconds else None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The wait that the service asks for, in seconds; it may be written as a number or as a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
