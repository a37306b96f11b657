"""What reviewers do: take images of the queue, decide, take it back; and give many images one label.

Reached as `review` of both clients; see `methods`. A claim keeps an image from all other reviewers until it expires.
"""

from datetime import datetime
from typing import Any, Literal

from leaktrace.client.answers import Answer, Label, Result
from leaktrace.client.flows import Flow, Request
from leaktrace.client.methods import Part, SenderT, given, shared

DecisionKind = Literal["confirm", "correct"]


class Waiting(Answer):
    """Images that nobody has judged, by whose turn it is; each counted up to 10,000."""

    appeal: int
    unseen: int
    inconclusive: int
    generator: int


class Claim(Answer):
    """An image that is kept for the reviewer until `expires_at`."""

    id: str
    expires_at: datetime
    result: Result


class ChosenImage(Answer):
    """An image of a choice, and what the model says of it."""

    image_id: str
    sha256: str
    verdict: str
    generator: str | None = None
    p_value: float


class BulkOutcome(Answer):
    """What was labelled in one go, or would be; `bulk_id` is what it is taken back by."""

    dry_run: bool
    bulk_id: str | None = None
    count: int
    left_out: int = 0
    unconfirmable: int = 0
    verdicts: dict[str, int]
    sample: list[ChosenImage]


class Undone(Answer):
    """How many labels were taken back."""

    count: int


class Review(Part[SenderT]):
    """The review queue of the key's tenant."""

    @shared
    def waiting(self, *, batch_id: str | None = None) -> Flow[Waiting]:
        """How many images wait for a person, of all batches or one."""
        return self._ask(Waiting, "GET", "/v1/review", params=given(batch_id=batch_id))

    @shared
    def claim(
        self, limit: int = 1, *, verdict: str | None = None, batch_id: str | None = None
    ) -> Flow[list[Claim]]:
        """Take the next images: appeals first, then unseen, inconclusive, and named ones. None when none waits."""
        body = {"limit": limit} | given(verdict=verdict, batch_id=batch_id)
        return self._list(Claim, "/v1/review/claims", method="POST", json=body)

    @shared
    def renew(self, claim_id: str) -> Flow[Claim]:
        """Keep an image longer, or take back that it was skipped."""
        return self._ask(Claim, "POST", f"/v1/review/claims/{claim_id}/renew")

    @shared
    def release(self, claim_id: str, *, skip: bool = False) -> Flow[None]:
        """Give an image back; with `skip` others come before it for 12 hours."""
        path = f"/v1/review/claims/{claim_id}/release"
        yield from self._sender.exchange(Request(method="POST", path=path, json={"skip": skip}))

    @shared
    def decide(
        self, claim_id: str, kind: DecisionKind, *, reason: str, generator: str | None = None
    ) -> Flow[Label]:
        """Say what a claimed image is, and be done with it. A correction without a generator: no known one."""
        body = _said(kind, reason, generator=generator)
        return self._ask_once(Label, f"/v1/review/claims/{claim_id}/decide", body)

    @shared
    def undo(self, label_id: str, *, reason: str) -> Flow[Claim]:
        """Take a decision back, and the image again."""
        path = f"/v1/review/decisions/{label_id}/undo"
        return self._ask(Claim, "POST", path, json={"reason": reason})

    @shared
    def look_at(
        self,
        choice: dict[str, Any],
        kind: DecisionKind,
        *,
        reason: str,
        generator: str | None = None,
    ) -> Flow[BulkOutcome]:
        """Which images `label_many` would label; `choice` holds the conditions of docs/api.md, such as `batch_id`."""
        label = _said(kind, reason, generator=generator)
        return self._ask_once(
            BulkOutcome, "/v1/review/bulk", {"choice": choice, "label": label, "dry_run": True}
        )

    @shared
    def label_many(
        self,
        choice: dict[str, Any],
        kind: DecisionKind,
        *,
        expected: int,
        reason: str,
        generator: str | None = None,
    ) -> Flow[BulkOutcome]:
        """Give all images of a choice one label, if they still are as many as `look_at` counted."""
        label = _said(kind, reason, generator=generator)
        body = {"choice": choice, "label": label, "dry_run": False, "expected": expected}
        return self._ask_once(BulkOutcome, "/v1/review/bulk", body)

    @shared
    def undo_many(self, bulk_id: str, *, reason: str) -> Flow[int]:
        """Take back all labels that were given in one go; gives how many."""
        path = f"/v1/review/bulk/{bulk_id}/undo"
        return (yield from self._ask(Undone, "POST", path, json={"reason": reason})).count


def _said(kind: DecisionKind, reason: str, *, generator: str | None) -> dict[str, Any]:
    """A decision; the service wants a generator, or null, with a correction alone."""
    said = {"kind": kind, "reason": reason}
    return said if kind == "confirm" else said | {"generator": generator}
