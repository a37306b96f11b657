"""Having images judged again, and what differs then.

Reached as `rescoring` of both clients; see `methods`.
"""

from datetime import datetime

from leaktrace.client.errors import WaitTimedOut
from leaktrace.client.flows import Flow, Pause, Series
from leaktrace.client.methods import Part, SenderT, iterated, shared
from leaktrace.client.open_set_answers import Rescore, RescoredItem

PAUSE_SECONDS = 1.0


class Rescoring(Part[SenderT]):
    """Re-scores of the key's tenant."""

    @shared
    def batch(self, batch_id: str, *, reason: str) -> Flow[Rescore]:
        """Have a batch's images judged again by what is in force."""
        body = {"of": "batch", "batch_id": batch_id, "reason": reason}
        return self._ask_once(Rescore, "/v1/rescores", body)

    @shared
    def submitted(self, *, since: datetime, until: datetime | None = None, reason: str) -> Flow[Rescore]:
        """Have the images judged again that were submitted in a range of time (with its zone)."""
        bounds = {"since": since.isoformat(), "until": until.isoformat() if until else None}
        return self._ask_once(Rescore, "/v1/rescores", {"of": "time", **bounds, "reason": reason})

    @shared
    def latest(self) -> Flow[list[Rescore]]:
        """The latest re-scores, the newest first."""
        return self._list(Rescore, "/v1/rescores")

    @shared
    def find(self, rescore_id: str) -> Flow[Rescore]:
        """How far it is, and what differs so far."""
        return self._found(rescore_id)

    @shared
    def wait(self, rescore_id: str, *, timeout_seconds: float | None = None) -> Flow[Rescore]:
        """The re-score, once it is completed or failed.

        Raises:
            WaitTimedOut: it was not finished in time; it goes on all the same.
        """
        started = self._sender.clock()
        while not (found := (yield from self._found(rescore_id))).is_finished:
            if timeout_seconds is not None and self._sender.clock() - started >= timeout_seconds:
                raise WaitTimedOut(f"re-score {rescore_id} is {found.state} after {timeout_seconds:g} s")
            yield Pause(PAUSE_SECONDS)
        return found

    @iterated
    def items(self, rescore_id: str, *, changed: bool = True) -> Series[RescoredItem]:
        """The items whose answer differs, or all, page by page."""
        path = f"/v1/rescores/{rescore_id}/items"
        return self._pages(RescoredItem, path, changed=str(changed).lower())

    def _found(self, rescore_id: str) -> Flow[Rescore]:
        return self._ask(Rescore, "GET", f"/v1/rescores/{rescore_id}")
