"""The page for one label on many images: choose, look at what would be labelled, label, and take it back.

A choice stands in the address, so that looking is reading; what changes something says how many images were looked at.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi import Form as FormBody
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from api import review as routes
from api.console.answers import Decided, Form, Said, Why, as_decision, name_of
from api.console.pages import render
from api.console.review import Reader, Reviewer
from api.dependencies import GivenServices, Services
from api.generators import generators
from api.idempotency import GivenCall
from api.review_schemas import BulkChoice, BulkLabel, BulkOutcome, TakenBack
from leaktrace.records.batches import list_batches
from leaktrace.records.bulk_labels import MOST_AT_ONCE
from leaktrace.records.database import transaction
from leaktrace.records.keys import Caller

HERE = "/console/review/bulk"
BATCHES_OFFERED = 50

router = APIRouter(prefix="/review/bulk")


class ChoiceForm(Form, BulkChoice):
    """The choice, as an address or a form gives it."""

    model_config = Form.model_config

    # Numbers arrive as text here.
    largest_p: Annotated[float | None, Field(ge=0, le=1)] = None
    nearest: Annotated[int, Field(ge=1, le=200)] = 20

    def body(self, answer: Decided, *, expected: int | None = None) -> BulkLabel:
        """The same for the API; without an expected number it only looks."""
        choice = BulkChoice(**{name: getattr(self, name) for name in BulkChoice.model_fields})
        label = as_decision(answer)
        return BulkLabel(choice=choice, label=label, dry_run=expected is None, expected=expected or 0)


class LookForm(ChoiceForm):
    """What a look is asked for."""

    said: Said | None = None
    reason: Why = ""
    done: UUID | None = None
    count: int = 0
    undone: int | None = None


class LabelForm(ChoiceForm, Decided):
    """What is labelled, and how many images were looked at."""

    expected: int


@router.get("")
def page(
    request: Request, services: GivenServices, visitor: Reader, look: Annotated[LookForm, Query()]
) -> Response:
    """The choice, and what it would label once an answer is chosen."""
    answer = Decided(said=look.said, reason=look.reason) if look.said else None
    outcome = routes.look_at(services, visitor.caller, look.body(answer)) if answer else None
    return render(
        request,
        "review_bulk.html",
        look=look,
        outcome=outcome,
        answer_name=name_of(look.said) if look.said else "",
        fields=look.model_dump(include=set(BulkChoice.model_fields), exclude_none=True, mode="json"),
        names=[each.name for each in generators(services, visitor.caller).data],
        batches=_batches(services, visitor.caller),
        most=MOST_AT_ONCE,
    )


@router.post("")
def label(call: GivenCall, visitor: Reviewer, form: Annotated[LabelForm, FormBody()]) -> Response:
    """Label what was looked at, and say how it is taken back."""
    body = form.body(form, expected=form.expected)
    answer = routes.label_many(body, call, visitor.caller)
    outcome = BulkOutcome.model_validate_json(bytes(answer.body))
    return RedirectResponse(f"{HERE}?done={outcome.bulk_id}&count={outcome.count}", 303)


@router.post("/{bulk_id}/undo")
def undo(bulk_id: Annotated[UUID, Path()], services: GivenServices, visitor: Reviewer) -> Response:
    """Take all labels of one go back."""
    why = TakenBack(reason="taken back on the page of bulk labels")
    count = routes.undo_many(bulk_id, why, services, visitor.caller).count
    return RedirectResponse(f"{HERE}?undone={count}", 303)


def _batches(services: Services, caller: Caller) -> list[tuple[str, str]]:
    """Id and name of the newest batches."""
    with transaction(services.engine) as session:
        found = list_batches(session, caller.tenant_id, limit=BATCHES_OFFERED)
        return [(str(batch.id), batch.name or f"Batch {str(batch.id)[-12:]}") for batch in found]
