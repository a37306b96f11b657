"""The routes of a batch's life: create, list, poll, close, cancel, retry, delete.

A poll gives a strong ETag over the very bytes of the answer, and Retry-After while something may still change.
"""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy.orm import Session

from api.auth import BatchReader, BatchWriter
from api.dependencies import BatchId, GivenServices, Services
from api.documents import HEADERS, problems, with_headers
from api.errors import BacklogTooLong
from api.idempotency import Answer, GivenCall
from api.schemas import Batch, BatchCreate, BatchPage, BatchState, RetryAnswer, RetryRequest
from leaktrace.logs import get_logger
from leaktrace.queue import enqueue_after_commit
from leaktrace.records import batches as records
from leaktrace.records import models
from leaktrace.records.audit import record_audit
from leaktrace.records.database import transaction
from leaktrace.records.deletion import accept_deletion
from leaktrace.records.items import count_items

IMAGES_A_SECOND_HOPED_FOR = 20
LONGEST_RETRY_AFTER_SECONDS = 30
COLUMNS = frozenset(Batch.model_fields) - {"object", "metadata", "counts", "uploading_at"}

ACCEPTED = {**with_headers(202, "Location"), **problems(404, 409, 422)}

router = APIRouter(prefix="/v1/batches", tags=["batches"])
log = get_logger(__name__)


@router.post(
    "",
    status_code=201,
    response_model=Batch,
    responses={**with_headers(201, "Location", "Retry-After"), **problems(409, 413, 422, reads="JSON")},
)
def create(body: BatchCreate, call: GivenCall, caller: BatchWriter) -> Response:
    """Create an empty batch, which takes uploads until it is closed."""

    def work(session: Session) -> Answer:
        _refuse_long_backlog(call.services)
        batch = records.create_batch(
            session,
            caller.tenant_id,
            name=body.name,
            details=body.metadata,
            expires_after_hours=call.services.settings.batch_expires_after_hours,
        )
        seen = _view(session, batch)
        return Answer(201, seen, {"Location": _location(seen), "Retry-After": str(retry_after_seconds(seen))})

    return call.answer_once(caller, body, work=work)


@router.get("", response_model=BatchPage, responses=problems(400, 422))
def list_(
    services: GivenServices,
    caller: BatchReader,
    state: BatchState | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> BatchPage:
    """List the batches, newest first."""
    listing = ("batches", caller.tenant_id, state)
    position = services.cursors.open(cursor, listing=listing)
    with transaction(services.engine) as session:
        found = records.list_batches(
            session,
            caller.tenant_id,
            limit=limit + 1,
            state=state,
            before=UUID(position) if position else None,
        )
        page, further = services.cursors.cut(found, limit, listing=listing, position=lambda batch: batch.id)
        counts = count_items(session, [batch.id for batch in page])
    return BatchPage(data=[build_batch(batch, counts[batch.id]) for batch in page], next_cursor=further)


@router.get(
    "/{batch_id}",
    response_model=Batch,
    responses={
        **with_headers(200, "ETag"),
        304: {
            "description": "Nothing has changed since the ETag given.",
            "headers": {"ETag": HEADERS["ETag"]},
        },
        **problems(404, 422),
    },
)
def poll(
    batch_id: BatchId,
    services: GivenServices,
    caller: BatchReader,
    if_none_match: Annotated[str | None, Header(description="An earlier answer's ETag.")] = None,
) -> Response:
    """Poll a batch. Ask again after Retry-After seconds, with If-None-Match, until it is in a final state."""
    with transaction(services.engine) as session:
        seen = _view(session, records.find_batch(session, caller.tenant_id, batch_id=batch_id))
    body = seen.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", **_retry_header(seen)}
    if if_none_match is not None and _names(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@router.post("/{batch_id}/close", status_code=202, response_model=Batch, responses=ACCEPTED)
def close(batch_id: BatchId, services: GivenServices, caller: BatchWriter) -> Response:
    """Close a batch: it takes no more uploads, and its images are queued. Closing twice is harmless."""
    with transaction(services.engine) as session:
        batch, shard_ids = records.close_batch(
            session, caller.tenant_id, batch_id=batch_id, shard_images=services.settings.shard_images
        )
        seen = _view(session, batch)
        enqueue_after_commit(session, services.queue, shard_ids)
    if shard_ids:
        log.info("batch_closed", images=seen.counts.total, shards=len(shard_ids))
    return _accepted(seen)


@router.post("/{batch_id}/cancel", status_code=202, response_model=Batch, responses=ACCEPTED)
def cancel(batch_id: BatchId, services: GivenServices, caller: BatchWriter) -> Response:
    """Cancel a batch: images that no worker has begun are left out; results there are stay."""
    with transaction(services.engine) as session:
        batch, changed = records.cancel_batch(session, caller.tenant_id, batch_id=batch_id)
        if changed:
            record_audit(
                session,
                "batch.cancelled",
                tenant_id=caller.tenant_id,
                actor=caller.actor,
                subject=str(batch_id),
            )
        seen = _view(session, batch)
    return _accepted(seen)


@router.post(
    "/{batch_id}/retry", response_model=RetryAnswer, responses=problems(404, 409, 413, 422, reads="JSON")
)
def retry(body: RetryRequest, batch_id: BatchId, call: GivenCall, caller: BatchWriter) -> Response:
    """Retry the failed items of a completed batch. With `dry_run` (the default) they are only counted."""

    def work(session: Session) -> Answer:
        if body.dry_run:
            found = records.preview_retry(session, caller.tenant_id, batch_id=batch_id)
        else:
            found = _retry_now(session, call.services, batch_id=batch_id, caller=caller)
        return Answer(200, RetryAnswer(count=found.count, codes=found.codes, executed=not body.dry_run))

    return call.answer_once(caller, body, work=work)


@router.delete("/{batch_id}", status_code=202, response_model=Batch, responses=ACCEPTED)
def delete(batch_id: BatchId, services: GivenServices, caller: BatchWriter) -> Response:
    """Delete a finished batch with its results, and the images that no other batch uses.

    Workers do it: the batch is `deleting`, with fewer and fewer items, until it is not found. Twice is harmless.
    """
    with transaction(services.engine) as session:
        batch = accept_deletion(session, caller.tenant_id, batch_id=batch_id, actor=caller.actor)
        seen = _view(session, batch)
    log.info("deletion_accepted", images=seen.counts.total)
    return _accepted(seen)


def build_batch(batch: models.Batch, counts: dict[str, int]) -> Batch:
    """The batch as its owner sees it."""
    columns: dict[str, Any] = {name: getattr(batch, name) for name in COLUMNS}
    return Batch.model_validate(
        {**columns, "metadata": batch.details, "counts": counts, "uploading_at": batch.created_at}
    )


def retry_after_seconds(batch: Batch) -> int:
    """When polling again is worth it: sooner the less there is left to do."""
    left = batch.counts.pending + batch.counts.running
    return max(1, min(LONGEST_RETRY_AFTER_SECONDS, left // (4 * IMAGES_A_SECOND_HOPED_FOR)))


def _view(session: Session, batch: models.Batch) -> Batch:
    return build_batch(batch, count_items(session, [batch.id])[batch.id])


def _retry_now(session: Session, services: Services, *, batch_id: UUID, caller: BatchWriter) -> records.Retry:
    found, shard_ids = records.retry_failed(
        session,
        caller.tenant_id,
        batch_id=batch_id,
        shard_images=services.settings.shard_images,
        expires_after_hours=services.settings.batch_expires_after_hours,
    )
    record_audit(
        session,
        "batch.retried",
        tenant_id=caller.tenant_id,
        actor=caller.actor,
        subject=str(batch_id),
        items=found.count,
    )
    enqueue_after_commit(session, services.queue, shard_ids)
    return found


def _refuse_long_backlog(services: Services) -> None:
    waiting, most = services.backlog.images(), services.settings.max_backlog_images
    if waiting > most:
        raise BacklogTooLong(f"{waiting:,} images wait, more than {most:,}; create the batch later")


def _accepted(batch: Batch) -> Response:
    headers = {"Location": _location(batch), **_retry_header(batch)}
    return Response(batch.model_dump_json(), 202, headers=headers, media_type="application/json")


def _retry_header(batch: Batch) -> dict[str, str]:
    if batch.state in records.FINISHED_STATES:
        return {}
    return {"Retry-After": str(retry_after_seconds(batch))}


def _location(batch: Batch) -> str:
    return f"/v1/batches/{batch.id}"


def _names(if_none_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.2: `*`, or a list whose members are compared weakly."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return if_none_match.strip() == "*" or etag in tags
