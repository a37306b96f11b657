"""Waiting for a batch: asks as often as the service wishes, and asks cheaply.

Unchanged batches are answered with 304 by their ETag. The state between two questions is in `Poll`, which sends
nothing itself, so that both kinds of client use it.
"""

from dataclasses import dataclass, field

import httpx

from leaktrace.client.answers import Batch, read_answer
from leaktrace.client.retrying import retry_after_seconds
from leaktrace.client.transport import json_of

DEFAULT_POLL_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class Poll:
    """What the last answer said: the batch, its ETag, and when to ask again."""

    batch: Batch | None = None
    etag: str | None = None
    next_in_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    def take(self, response: httpx.Response) -> Batch:
        """Read an answer to a question that was asked with `headers`."""
        asked = retry_after_seconds(response.headers)
        self.next_in_seconds = DEFAULT_POLL_SECONDS if asked is None else asked
        if response.status_code != httpx.codes.NOT_MODIFIED or self.batch is None:
            self.batch = read_answer(Batch, json_of(response))
            self.etag = response.headers.get("etag")
            self.headers = {"If-None-Match": self.etag} if self.etag else {}
        return self.batch
