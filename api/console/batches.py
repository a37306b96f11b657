"""The page of batches: what there is, how far each is, and what can be done with it.

The list is a part of the page that fetches itself again when something changed. Changes call the routes of the API.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from api import batches as routes
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import BatchId, GivenServices
from api.idempotency import GivenCall
from api.schemas import Batch, BatchState, RetryRequest
from leaktrace.records import batches as records
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.items import count_items

SHOWN = 20
HERE = "/console/batches"
SAID = {
    "closed": "The batch takes no more images; those that have arrived are attributed.",
    "cancelled": "The batch is being cancelled; what was found stays.",
    "retried": "The failed images are queued again.",
    "deleted": "The batch is being deleted, with its results and the images that no other batch uses.",
}

router = APIRouter(prefix="/batches")
Reader = Annotated[Visitor, opens("batches:read")]
Writer = Annotated[Visitor, sends("batches:write")]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    state: BatchState | None = None,
    before: UUID | None = None,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The newest batches, or those before one."""
    with transaction(services.engine) as session:
        found = records.list_batches(
            session, visitor.caller.tenant_id, limit=SHOWN + 1, state=state, before=before
        )
        counts = count_items(session, [batch.id for batch in found])
    shown = [routes.build_batch(batch, counts[batch.id]) for batch in found[:SHOWN]]
    return render(
        request,
        "batches.html",
        batches=shown,
        older=shown[-1].id if len(found) > SHOWN else None,
        state=state or "",
        before=before,
        said=SAID.get(said, ""),
        actions=actions_of,
        may_submit={"batches:write", "results:read"} <= set(visitor.caller.scopes),
        limits={
            "image_bytes": services.settings.max_image_bytes,
            "images": services.settings.max_images_per_batch,
        },
    )


@router.post("/{batch_id}/close")
def close(batch_id: BatchId, services: GivenServices, visitor: Writer) -> Response:
    """Attribute what has arrived."""
    routes.close(batch_id, services, visitor.caller)
    return _back("closed")


@router.post("/{batch_id}/cancel")
def cancel(batch_id: BatchId, services: GivenServices, visitor: Writer) -> Response:
    """Cancel, and back to the list."""
    routes.cancel(batch_id, services, visitor.caller)
    return _back("cancelled")


@router.post("/{batch_id}/retry")
def retry(call: GivenCall, batch_id: BatchId, visitor: Writer) -> Response:
    """Queue the failed images again."""
    routes.retry(RetryRequest(dry_run=False), batch_id, call, visitor.caller)
    return _back("retried")


@router.post("/{batch_id}/delete")
def delete(batch_id: BatchId, services: GivenServices, visitor: Writer) -> Response:
    """Delete a finished batch."""
    routes.delete(batch_id, services, visitor.caller)
    return _back("deleted")


def actions_of(batch: Batch, visitor: Visitor) -> list[str]:
    """What this visitor can do with the batch in its state: resume, close, cancel, retry, delete."""
    if "batches:write" not in visitor.caller.scopes:
        return []
    possible = {
        "resume": batch.state == "uploading",
        "close": batch.state == "uploading" and batch.counts.total > 0,
        "cancel": batch.state in records.CANCELLABLE_STATES,
        "retry": batch.state == "completed" and batch.counts.failed > 0,
        "delete": batch.state in records.FINISHED_STATES,
    }
    return [name for name, is_possible in possible.items() if is_possible]


def _back(said: str) -> Response:
    return RedirectResponse(f"{HERE}?said={said}", 303)
