"""The routes of webhooks: make, change and remove them, see what was delivered, and send it again.

Messages are sent by workers; here they are only recorded. Where a message may go is checked by `leaktrace.addresses`,
here for what a URL shows and by the worker for what its name resolves to.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api.auth import WebhookReader, WebhookWriter
from api.dependencies import GivenServices, Services
from api.documents import problems, with_headers
from api.idempotency import Answer, GivenCall
from api.webhook_schemas import (
    Delivery,
    DeliveryPage,
    DeliveryState,
    Replay,
    Replayed,
    Rotation,
    Webhook,
    WebhookCreate,
    Webhooks,
    WebhookUpdate,
    WebhookWithSecret,
    build_delivery,
    build_webhook,
    reveal_webhook,
)
from leaktrace.addresses import AddressRules
from leaktrace.records import replays
from leaktrace.records import webhooks as records
from leaktrace.records.database import transaction

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
WebhookId = Annotated[UUID, Path(description="The webhook's `id`.")]


@router.post(
    "",
    status_code=201,
    response_model=WebhookWithSecret,
    responses={**with_headers(201, "Location"), **problems(409, 413, 422, reads="JSON")},
)
def create(body: WebhookCreate, call: GivenCall, caller: WebhookWriter) -> Response:
    """Create a webhook. Its signing secret is in this answer alone."""
    _check_address(call.services, body.url)

    def work(session: Session) -> Answer:
        secret = records.new_secret()
        endpoint = records.create_webhook(
            session,
            caller,
            url=body.url,
            events=body.events,
            description=body.description,
            secret=call.services.seal.seal(secret),
            most=call.services.settings.webhooks_per_tenant,
        )
        return Answer(201, reveal_webhook(endpoint, secret), {"Location": f"/v1/webhooks/{endpoint.id}"})

    return call.answer_once(caller, body, work=work)


@router.get("", response_model=Webhooks, responses=problems())
def list_(services: GivenServices, caller: WebhookReader) -> Webhooks:
    """List the webhooks, newest first."""
    with transaction(services.engine) as session:
        found = records.list_webhooks(session, caller.tenant_id)
        return Webhooks(data=[build_webhook(endpoint) for endpoint in found])


@router.get("/{webhook_id}", response_model=Webhook, responses=problems(404, 422))
def read(webhook_id: WebhookId, services: GivenServices, caller: WebhookReader) -> Webhook:
    """Read one webhook."""
    with transaction(services.engine) as session:
        return build_webhook(records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id))


@router.patch("/{webhook_id}", response_model=Webhook, responses=problems(404, 413, 422, reads="JSON"))
def update(
    webhook_id: WebhookId, body: WebhookUpdate, services: GivenServices, caller: WebhookWriter
) -> Webhook:
    """Change a webhook: its address, its events, its description, or whether it is sent to."""
    if body.url is not None:
        _check_address(services, body.url)
    changes = body.model_dump(exclude_none=True, exclude={"enabled"})
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id, lock=True)
        for name, value in changes.items():
            setattr(endpoint, name, value)
        if body.enabled is not None:
            records.enable_webhook(endpoint, enabled=body.enabled, reason=f"disabled by {caller.actor}")
        told = body.model_dump(exclude_none=True)
        records.record_webhook_audit(session, "webhook.changed", endpoint, actor=caller.actor, **told)
        return build_webhook(endpoint)


@router.delete("/{webhook_id}", status_code=204, responses=problems(404, 422))
def delete(webhook_id: WebhookId, services: GivenServices, caller: WebhookWriter) -> Response:
    """Delete a webhook and its deliveries."""
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id, lock=True)
        records.delete_webhook(session, endpoint, actor=caller.actor)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/rotate",
    response_model=WebhookWithSecret,
    responses=problems(404, 409, 413, 422, reads="JSON"),
)
def rotate(webhook_id: WebhookId, body: Rotation, call: GivenCall, caller: WebhookWriter) -> Response:
    """Give a webhook a new secret. For a while messages are signed with both, so that no message is lost."""

    def work(session: Session) -> Answer:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id, lock=True)
        secret = records.new_secret()
        records.rotate_secret(
            endpoint, secret=call.services.seal.seal(secret), keep_previous=body.keep_previous()
        )
        records.record_webhook_audit(session, "webhook.secret_rotated", endpoint, actor=caller.actor)
        return Answer(200, reveal_webhook(endpoint, secret))

    return call.answer_once(caller, body, work=work)


@router.post(
    "/{webhook_id}/test", status_code=202, response_model=Delivery, responses=problems(404, 409, 422)
)
def test(webhook_id: WebhookId, services: GivenServices, caller: WebhookWriter) -> Delivery:
    """Send an event of the type `webhook.test`, to see whether the receiver takes and verifies it."""
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id)
        delivery_id = records.send_test(session, endpoint)
        return build_delivery(replays.find_delivery(session, endpoint, delivery_id=delivery_id))


@router.get("/{webhook_id}/deliveries", response_model=DeliveryPage, responses=problems(400, 404, 422))
def deliveries(
    webhook_id: WebhookId,
    services: GivenServices,
    caller: WebhookReader,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> DeliveryPage:
    """List a webhook's deliveries, newest first, each with its tries. They are kept for 30 days."""
    listing = ("deliveries", caller.tenant_id, webhook_id, state)
    position = services.cursors.open(cursor, listing=listing)
    before = UUID(position) if position else None
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id)
        found = replays.list_deliveries(session, endpoint, state=state, before=before, limit=limit + 1)
        page, further = services.cursors.cut(found, limit, listing=listing, position=lambda row: row[0].id)
        return DeliveryPage(data=[build_delivery(row) for row in page], next_cursor=further)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=Delivery,
    responses=problems(404, 409, 422),
)
def replay_one(
    webhook_id: WebhookId,
    delivery_id: Annotated[UUID, Path(description="The delivery's `id`.")],
    services: GivenServices,
    caller: WebhookWriter,
) -> Delivery:
    """Send one event again, under the same message id."""
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id)
        row = replays.replay_one(session, endpoint, delivery_id=delivery_id)
        records.record_webhook_audit(
            session, "webhook.replayed", endpoint, actor=caller.actor, delivery_id=str(delivery_id)
        )
        return build_delivery(row)


@router.post(
    "/{webhook_id}/replay",
    status_code=202,
    response_model=Replayed,
    responses=problems(404, 409, 413, 422, reads="JSON"),
)
def replay(webhook_id: WebhookId, body: Replay, services: GivenServices, caller: WebhookWriter) -> Replayed:
    """Send again what happened since a time and was not delivered, also what this webhook was never sent."""
    with transaction(services.engine) as session:
        endpoint = records.find_webhook(session, caller.tenant_id, webhook_id=webhook_id)
        count = replays.replay_since(
            session, endpoint, since=body.since, include_delivered=body.include_delivered
        )
        told = {"since": body.since.isoformat(), "count": count}
        records.record_webhook_audit(session, "webhook.replayed", endpoint, actor=caller.actor, **told)
        return Replayed(count=count)


def _check_address(services: Services, url: str) -> None:
    AddressRules(services.settings.webhook_allowed_networks).check_url(url)
