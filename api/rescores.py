"""The routes of re-scoring: have a batch or a range of time judged again, and read what differs and why.

A worker does it in the background; answers that were given stay as they are.
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api.auth import BatchWriter, ResultReader
from api.dependencies import GivenServices
from api.documents import problems, with_headers
from api.idempotency import Answer, GivenCall
from api.rescore_schemas import (
    AnswerChange,
    BatchRescore,
    Rescore,
    RescoreCreate,
    RescoredItem,
    RescoredItems,
    Rescores,
)
from leaktrace.records import rescore_models
from leaktrace.records.database import transaction
from leaktrace.records.rescore_reports import list_changes, summarise_rescore
from leaktrace.records.rescoring import (
    Selection,
    ask_rescore,
    count_selected,
    find_rescore,
    list_rescores,
)

router = APIRouter(prefix="/v1/rescores", tags=["results"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = frozenset(Rescore.model_fields) - {"items", "judged", "flips", "changes"}
RescoreId = Annotated[UUID, Path(description="The re-score's `id`.")]


@router.post(
    "",
    status_code=202,
    response_model=Rescore,
    responses={**with_headers(202, "Location"), **problems(404, 409, 413, 422, reads="JSON")},
)
def create(body: RescoreCreate, call: GivenCall, caller: BatchWriter) -> Response:
    """Have answered images judged again by the model and density in force. One of a tenant runs at a time."""

    asked_for = body.root
    if isinstance(asked_for, BatchRescore):
        selection = Selection(batch_id=asked_for.batch_id)
    else:
        until = asked_for.until
        selection = Selection(since=max(asked_for.since, EPOCH), until=max(until, EPOCH) if until else None)

    def work(session: Session) -> Answer:
        asked = ask_rescore(
            session, caller.tenant_id, selection=selection, actor=caller.actor, reason=asked_for.reason
        )
        session.refresh(asked)
        return Answer(202, build_rescore(session, asked), {"Location": f"/v1/rescores/{asked.id}"})

    return call.answer_once(caller, body, work=work)


@router.get("", response_model=Rescores, responses=problems())
def list_(services: GivenServices, caller: ResultReader) -> Rescores:
    """List the re-scores, the newest first."""
    with transaction(services.engine) as session:
        return Rescores(
            data=[build_rescore(session, one) for one in list_rescores(session, caller.tenant_id)]
        )


@router.get("/{rescore_id}", response_model=Rescore, responses=problems(404, 422))
def report(rescore_id: RescoreId, services: GivenServices, caller: ResultReader) -> Rescore:
    """How far a re-score is, and how often which answer became which, and why."""
    with transaction(services.engine) as session:
        return build_rescore(session, find_rescore(session, caller.tenant_id, rescore_id=rescore_id))


@router.get("/{rescore_id}/items", response_model=RescoredItems, responses=problems(400, 404, 422))
def items(
    rescore_id: RescoreId,
    services: GivenServices,
    caller: ResultReader,
    changed: Annotated[bool, Query(description="Only items whose answer differs.")] = True,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> RescoredItems:
    """List the items of a re-score with both answers, their p-values and versions."""
    listing = ("rescored-items", caller.tenant_id, rescore_id, changed)
    position = services.cursors.open(cursor, listing=listing)
    with transaction(services.engine) as session:
        rescore = find_rescore(session, caller.tenant_id, rescore_id=rescore_id)
        found = list_changes(
            session,
            rescore,
            changed=changed,
            limit=limit + 1,
            after=UUID(position) if position else None,
        )
    page, further = services.cursors.cut(found, limit, listing=listing, position=lambda one: one.item_id)
    return RescoredItems(data=[RescoredItem.model_validate(one) for one in page], next_cursor=further)


def build_rescore(session: Session, row: rescore_models.Rescore) -> Rescore:
    """The re-score with its report."""
    changes = summarise_rescore(session, row)
    return Rescore.model_validate(
        {
            **{name: getattr(row, name) for name in COLUMNS},
            "items": count_selected(session, row),
            "judged": sum(one.items for one in changes),
            "flips": sum(one.items for one in changes if one.before != one.after),
            "changes": [AnswerChange.model_validate(one) for one in changes],
        }
    )
