"""The pages of webhooks: all of a tenant, and one with its deliveries, which can be sent again.

A secret that was just made is in the answer to its form and nowhere else.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api import webhooks as routes
from api.console.forms import read_form
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices, Services
from api.idempotency import GivenCall
from api.webhook_schemas import (
    DeliveryState,
    Replay,
    Rotation,
    WebhookCreate,
    WebhookUpdate,
    WebhookWithSecret,
)
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.events import EVENT_TYPES
from leaktrace.records.keys import TENANT_ADMIN

HERE = "/console/system/webhooks"
DELIVERIES_SHOWN = 25
SAID = {
    "deleted": "The webhook is deleted, with its deliveries.",
    "test": "A test event is on its way.",
    "enabled": "The webhook is sent to again, with what waited for it.",
    "disabled": "Nothing is sent to the webhook any more.",
    "replayed": "It is sent again.",
    "none": "Nothing that happened since then is missing.",
}
EVENT_WORDS = {
    "batch.finished": "a batch is completed, failed, expired or cancelled",
    "candidate.found": "a group of images without a name may be a new generator",
    "density.promoted": "another density judges your images",
    "drift.alarm": "the images are no longer what they were",
}

router = APIRouter(prefix="/system/webhooks")
Reader = Annotated[Visitor, opens(TENANT_ADMIN, "webhooks:read")]
Writer = Annotated[Visitor, sends(TENANT_ADMIN, "webhooks:write")]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The tenant's webhooks, and a form for another."""
    return render(
        request,
        "webhooks.html",
        webhooks=routes.list_(services, visitor.caller).data,
        events=[(name, EVENT_WORDS[name]) for name in EVENT_TYPES],
        said=SAID.get(said, ""),
    )


@router.post("")
def create(
    call: GivenCall,
    visitor: Writer,
    url: Annotated[str, Form(max_length=2000)],
    description: Annotated[str, Form(max_length=200)] = "",
    events: Annotated[list[str], Form(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Make a webhook and show its secret, once."""
    body = read_form(WebhookCreate, url=url.strip(), description=description.strip(), events=events)
    made = routes.create(body, call, visitor.caller)
    return _reveal(call.request, call.services, visitor, made)


@router.get("/{webhook_id}")
def one(
    request: Request,
    webhook_id: routes.WebhookId,
    services: GivenServices,
    visitor: Reader,
    state: DeliveryState | None = None,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """One webhook with its deliveries, newest first."""
    return _one(
        request, services, visitor, webhook_id=webhook_id, state=state, cursor=cursor, said=SAID.get(said, "")
    )


@router.post("/{webhook_id}/rotate")
def rotate(call: GivenCall, webhook_id: routes.WebhookId, visitor: Writer) -> Response:
    """Give it a new secret and show that, once; both sign for a day."""
    made = routes.rotate(webhook_id, Rotation(), call, visitor.caller)
    return _reveal(call.request, call.services, visitor, made)


@router.post("/{webhook_id}/test")
def test(webhook_id: routes.WebhookId, services: GivenServices, visitor: Writer) -> Response:
    """Send a test event."""
    routes.test(webhook_id, services, visitor.caller)
    return _back(webhook_id, "test")


@router.post("/{webhook_id}/switch")
def switch(
    webhook_id: routes.WebhookId,
    services: GivenServices,
    visitor: Writer,
    enabled: Annotated[bool, Form()],
) -> Response:
    """Send to it again, or stop."""
    routes.update(webhook_id, WebhookUpdate(enabled=enabled), services, visitor.caller)
    return _back(webhook_id, "enabled" if enabled else "disabled")


@router.post("/{webhook_id}/delete")
def delete(webhook_id: routes.WebhookId, services: GivenServices, visitor: Writer) -> Response:
    """Delete it, and back to the list."""
    routes.delete(webhook_id, services, visitor.caller)
    return RedirectResponse(f"{HERE}?said=deleted", 303)


@router.post("/{webhook_id}/replay")
def replay(
    webhook_id: routes.WebhookId,
    services: GivenServices,
    visitor: Writer,
    hours: Annotated[int, Form(ge=1, le=24 * 30)],
) -> Response:
    """Send again what happened within so many hours and was not delivered."""
    since = datetime.now(UTC) - timedelta(hours=hours)
    body = read_form(Replay, since=since.isoformat())
    sent = routes.replay(webhook_id, body, services, visitor.caller)
    return _back(webhook_id, "replayed" if sent.count else "none")


@router.post("/{webhook_id}/deliveries/{delivery_id}/replay")
def replay_one(
    webhook_id: routes.WebhookId, delivery_id: UUID, services: GivenServices, visitor: Writer
) -> Response:
    """Send one event again."""
    routes.replay_one(webhook_id, delivery_id, services, visitor.caller)
    return _back(webhook_id, "replayed")


def _reveal(request: Request, services: Services, visitor: Visitor, made: Response) -> Response:
    revealed = WebhookWithSecret.model_validate_json(bytes(made.body))
    return _one(request, services, visitor, webhook_id=revealed.id, revealed=revealed)


def _one(
    request: Request,
    services: Services,
    visitor: Visitor,
    *,
    webhook_id: UUID,
    revealed: WebhookWithSecret | None = None,
    state: DeliveryState | None = None,
    cursor: str | None = None,
    said: str = "",
) -> Response:
    caller = visitor.caller
    webhook = revealed or routes.read(webhook_id, services, caller)
    deliveries = routes.deliveries(webhook.id, services, caller, state, DELIVERIES_SHOWN, cursor)
    return render(
        request,
        "webhook.html",
        webhook=webhook,
        secret=revealed.secret if revealed is not None else "",
        deliveries=deliveries.data,
        next_cursor=deliveries.next_cursor,
        state=state or "",
        cursor=cursor or "",
        said=said,
        may_write="webhooks:write" in caller.scopes,
    )


def _back(webhook_id: UUID, said: str) -> Response:
    return RedirectResponse(f"{HERE}/{webhook_id}?said={said}", 303)
