"""What a user does with webhooks: make, change, try and remove them, see what was delivered, have it sent again.

Reached as `webhooks` of both clients; see `methods`. A secret is told when it is made, and never again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from leaktrace.client.answers import Answer
from leaktrace.client.flows import Flow, Request, Series
from leaktrace.client.methods import Part, SenderT, iterated, shared

DeliveryState = Literal["pending", "delivered", "failed"]


class Webhook(Answer):
    """An address that is told of events."""

    id: str
    url: str
    events: list[str]
    description: str = ""
    enabled: bool
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime


class WebhookWithSecret(Webhook):
    """A webhook with the secret that signs its messages, to be kept now."""

    secret: str = Field(repr=False)


class DeliveryTry(Answer):
    """One try; `status` is None where nothing answered, `error` where the receiver took the message."""

    at: datetime
    status: int | None = None
    error: str | None = None
    milliseconds: int


class Delivery(Answer):
    """An event on its way to a webhook; `message_id` is its `webhook-id` at every try and replay."""

    id: str
    webhook_id: str
    message_id: str
    event: str
    data: dict[str, Any]
    state: DeliveryState
    attempts: int
    tries: list[DeliveryTry] = Field(default_factory=list)
    next_attempt_at: datetime | None = None
    created_at: datetime
    delivered_at: datetime | None = None


class Replayed(Answer):
    """How many deliveries were begun anew."""

    count: int


Listing = list[Webhook]  # within the class, `list` is its method


class Webhooks(Part[SenderT]):
    """The tenant's webhooks."""

    @shared
    def create(
        self, url: str, *, events: Sequence[str] | None = None, description: str = ""
    ) -> Flow[WebhookWithSecret]:
        """Have an address told of events, of all kinds unless some are named."""
        body: dict[str, Any] = {"url": url, "description": description}
        if events is not None:
            body["events"] = list(events)
        return self._ask_once(WebhookWithSecret, "/v1/webhooks", body)

    @shared
    def list(self) -> Flow[Listing]:
        """All webhooks, the newest first."""
        return self._list(Webhook, "/v1/webhooks")

    @shared
    def get(self, webhook_id: str) -> Flow[Webhook]:
        """One webhook."""
        return self._ask(Webhook, "GET", f"/v1/webhooks/{webhook_id}")

    @shared
    def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Flow[Webhook]:
        """Change what is given. Enabling sends what waits."""
        body = {"url": url, "events": events, "description": description, "enabled": enabled}
        changes = {name: value for name, value in body.items() if value is not None}
        return self._ask(Webhook, "PATCH", f"/v1/webhooks/{webhook_id}", json=changes)

    @shared
    def delete(self, webhook_id: str) -> Flow[None]:
        """Remove a webhook with its deliveries."""
        yield from self._sender.exchange(Request(method="DELETE", path=f"/v1/webhooks/{webhook_id}"))

    @shared
    def rotate(self, webhook_id: str, *, keep_previous_hours: int = 24) -> Flow[WebhookWithSecret]:
        """Give a webhook another secret; for so many hours messages are signed with both."""
        body = {"keep_previous_hours": keep_previous_hours}
        return self._ask_once(WebhookWithSecret, f"/v1/webhooks/{webhook_id}/rotate", body)

    @shared
    def test(self, webhook_id: str) -> Flow[Delivery]:
        """Send an event of no meaning."""
        return self._ask(Delivery, "POST", f"/v1/webhooks/{webhook_id}/test")

    @iterated
    def deliveries(self, webhook_id: str, *, state: DeliveryState | None = None) -> Series[Delivery]:
        """What was sent or is to be sent to a webhook, the newest first, with its latest tries."""
        return self._pages(Delivery, f"/v1/webhooks/{webhook_id}/deliveries", state=state)

    @shared
    def replay(self, webhook_id: str, delivery_id: str) -> Flow[Delivery]:
        """Send one event again, under the same message id."""
        return self._ask(Delivery, "POST", f"/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay")

    @shared
    def replay_since(self, webhook_id: str, since: datetime, *, include_delivered: bool = False) -> Flow[int]:
        """Send again what happened since a time (with its zone) and was not delivered; gives how many."""
        body = {"since": since.isoformat(), "include_delivered": include_delivered}
        answer = yield from self._ask(Replayed, "POST", f"/v1/webhooks/{webhook_id}/replay", json=body)
        return answer.count
