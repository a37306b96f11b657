"""Webhooks and their deliveries as the API takes and gives them. A secret is given when it is made, and never again."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api import webhook_examples as examples
from api.schemas import PRINTABLE, Given, Moment, WholeNumber
from leaktrace.addresses import URL_PATTERN
from leaktrace.records.events import EVENT_TYPES, EventType
from leaktrace.records.replays import DeliveryRow
from leaktrace.records.webhook_models import WebhookEndpoint

DeliveryState = Literal["pending", "delivered", "failed"]
Url = Annotated[
    str,
    StringConstraints(min_length=9, max_length=2000, pattern=URL_PATTERN),
    Field(description="https, and public: private addresses are refused, also when a message is sent."),
]
Description = Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)]
Events = Annotated[
    list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES), description="What it is told of.")
]


class WebhookCreate(Given):
    """A new webhook; without `events` it is told of all kinds."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.WEBHOOK_CREATE})

    url: Url
    events: Events = Field(default_factory=lambda: list(EVENT_TYPES))
    description: Description = ""


class WebhookUpdate(Given):
    """What is to be changed; what is left out stays. Enabling sends what waits."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.WEBHOOK_UPDATE})

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None


class Webhook(BaseModel):
    """An address that is told of events."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": examples.WEBHOOK})

    id: UUID
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None = Field(description="The first failed try after the last good one.")
    previous_secret_until: datetime | None = Field(
        description="Until then messages are signed with the secret before the last rotation too."
    )
    created_at: datetime


class WebhookWithSecret(Webhook):
    """A webhook with its signing secret, which is not shown again."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.WEBHOOK_WITH_SECRET})

    secret: str = Field(description="As Standard Webhooks writes it: `whsec_...`.")


class Webhooks(BaseModel):
    """All webhooks, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.WEBHOOKS})

    data: list[Webhook]


class Rotation(Given):
    """How long the old secret goes on signing beside the new one."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ROTATION})

    keep_previous_hours: WholeNumber = Field(24, ge=0, le=168)

    def keep_previous(self) -> timedelta:
        """The same for the records."""
        return timedelta(hours=self.keep_previous_hours)


class DeliveryTry(BaseModel):
    """One try to deliver; `status` is null where nothing answered, `error` where the receiver took the message."""

    at: datetime
    status: int | None
    error: str | None
    milliseconds: int


class Delivery(BaseModel):
    """An event on its way to a webhook, with its latest tries."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DELIVERY})

    id: UUID
    webhook_id: UUID
    message_id: str = Field(description="The `webhook-id` of the message, at every try and replay.")
    event: str
    data: dict[str, Any]
    state: DeliveryState
    attempts: int = Field(description="Tries since it was begun or replayed.")
    tries: list[DeliveryTry]
    next_attempt_at: datetime | None = Field(description="Null unless it is pending.")
    created_at: datetime
    delivered_at: datetime | None = Field(description="When the receiver took it last.")


class DeliveryPage(BaseModel):
    """A page of deliveries, newest first; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DELIVERY_PAGE})

    data: list[Delivery]
    next_cursor: str | None


class Replay(Given):
    """Which events are sent again: those since a time that were not delivered, or all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.REPLAY})

    since: Moment
    include_delivered: bool = False


class Replayed(BaseModel):
    """How many deliveries were begun anew; at most 10,000 at a time."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.REPLAYED})

    count: int


def build_webhook(endpoint: WebhookEndpoint) -> Webhook:
    """The endpoint as its owner sees it, without its secret."""
    return Webhook.model_validate(_facts(endpoint))


def reveal_webhook(endpoint: WebhookEndpoint, secret: str) -> WebhookWithSecret:
    """The endpoint with the secret that was just made."""
    return WebhookWithSecret.model_validate({**_facts(endpoint), "secret": secret})


def build_delivery(row: DeliveryRow) -> Delivery:
    """The delivery as its owner sees it."""
    delivery, event = row
    names = ("id", "state", "attempts", "tries", "created_at", "delivered_at")
    return Delivery.model_validate(
        {
            **{name: getattr(delivery, name) for name in names},
            "webhook_id": delivery.endpoint_id,
            "message_id": f"msg_{event.id.hex}",
            "event": event.type,
            "data": event.data,
            "next_attempt_at": delivery.next_attempt_at if delivery.state == "pending" else None,
        }
    )


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    names = Webhook.model_fields.keys() - {"enabled"}
    return {**{name: getattr(endpoint, name) for name in names}, "enabled": endpoint.disabled_at is None}
