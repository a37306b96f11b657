"""Having images judged again, and what differs then: a part of the client, reached as `client.rescoring`.

It speaks through the client's own transport.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import uuid4

from leaktrace.client.answers import read_answer
from leaktrace.client.errors import WaitTimedOut
from leaktrace.client.open_set_answers import Rescore, RescoredItem
from leaktrace.client.polling import page_params
from leaktrace.client.transport import Transport, json_of

PAUSE_SECONDS = 1.0


class Rescoring:
    """Re-scores of the key's tenant."""

    def __init__(
        self,
        transport: Transport,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport, self._sleep, self._clock = transport, sleep, clock

    def batch(self, batch_id: str, *, reason: str) -> Rescore:
        """Have a batch's images judged again by what is in force."""
        return self._ask(of="batch", batch_id=batch_id, reason=reason)

    def submitted(self, *, since: datetime, until: datetime | None = None, reason: str) -> Rescore:
        """Have the images judged again that were submitted in a range of time (with its zone)."""
        bounds = {"since": since.isoformat(), "until": until.isoformat() if until else None}
        return self._ask(of="time", **bounds, reason=reason)

    def find(self, rescore_id: str) -> Rescore:
        """How far it is, and what differs so far."""
        return read_answer(Rescore, json_of(self._transport.request("GET", f"/v1/rescores/{rescore_id}")))

    def wait(self, rescore_id: str, *, timeout_seconds: float | None = None) -> Rescore:
        """The re-score, once it is completed or failed.

        Raises:
            WaitTimedOut: it was not finished in time; it goes on all the same.
        """
        started = self._clock()
        while not (found := self.find(rescore_id)).is_finished:
            if timeout_seconds is not None and self._clock() - started >= timeout_seconds:
                raise WaitTimedOut(f"re-score {rescore_id} is {found.state} after {timeout_seconds:g} s")
            self._sleep(PAUSE_SECONDS)
        return found

    def items(self, rescore_id: str, *, changed: bool = True) -> Iterator[RescoredItem]:
        """The items whose answer differs, or all, page by page."""
        path, cursor = f"/v1/rescores/{rescore_id}/items", None
        while True:
            params = page_params(changed=str(changed).lower(), cursor=cursor)
            page = json_of(self._transport.request("GET", path, params=params))
            yield from (read_answer(RescoredItem, entry) for entry in page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _ask(self, **body: str | None) -> Rescore:
        headers = {"Idempotency-Key": str(uuid4())}
        return read_answer(
            Rescore, json_of(self._transport.request("POST", "/v1/rescores", json=body, headers=headers))
        )
