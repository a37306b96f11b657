"""The routes of enrolled generators: name one, list what was asked for, merge, split, take back.

Each asks; a worker decides within seconds, by gates, and the enrolment then says why. What is enrolled is the
tenant's own.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.auth import GeneratorReader, GeneratorWriter, ServiceAdmin
from api.dependencies import GivenServices
from api.documents import problems
from api.enrolment_schemas import (
    CandidateEnrolment,
    Enrolment,
    EnrolmentCreate,
    Enrolments,
    Examples,
    GeneratorName,
    Merge,
    Reasoned,
    Split,
)
from api.idempotency import Answer, GivenCall, KeyedCall
from leaktrace.errors import Unavailable
from leaktrace.records import enrolments as records
from leaktrace.records import open_set_models, promotions
from leaktrace.records.database import transaction
from leaktrace.records.keys import Caller
from leaktrace.records.readiness import find_serving_model

router = APIRouter(prefix="/v1/generators", tags=["generators"])
Name = Annotated[GeneratorName, Path(description="An enrolled generator's name.")]
ASKED = problems(404, 409, 413, 422, reads="JSON")
MOST_EXAMPLES = 1_000
Asked = open_set_models.Enrolment | list[open_set_models.Enrolment]
Change = Callable[[Session, records.Change], Asked]


class NoModel(Unavailable):
    """No worker has registered a model yet, so nothing can be enrolled; try again when one runs."""

    code = "no_model"


@router.post("", status_code=202, response_model=Enrolments, responses=ASKED)
def enrol(body: EnrolmentCreate, call: GivenCall, caller: GeneratorWriter) -> Response:
    """Name the generator of a candidate's or a batch's images."""
    asked = body.root
    if isinstance(asked, CandidateEnrolment):
        change = partial(records.enrol_candidate, name=asked.name, candidate_id=asked.candidate_id)
    else:
        change = partial(records.enrol_batch, name=asked.name, batch_id=asked.batch_id)
    return _ask(call, caller, body=body, reason=asked.reason, change=change)


@router.get("/enrolments", response_model=Enrolments, responses=problems())
def enrolments(services: GivenServices, caller: GeneratorReader) -> Enrolments:
    """List what was asked for and what became of it, the newest first."""
    with transaction(services.engine) as session:
        found = records.list_enrolments(session, caller.tenant_id)
        return Enrolments(data=[Enrolment.model_validate(one) for one in found])


@router.get("/{name}/images", response_model=Examples, responses=problems(404, 422))
def images(
    name: Name,
    services: GivenServices,
    caller: GeneratorReader,
    limit: Annotated[int, Query(ge=1, le=MOST_EXAMPLES)] = 100,
) -> Examples:
    """List images that an enrolled generator was made of, for a split."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            raise records.GeneratorNotFound(f"no generator {name} is enrolled")
        count, found = records.list_examples(
            session, caller.tenant_id, model_version=model.version, name=name, limit=limit
        )
        return Examples(count=count, data=found)


@router.post("/{name}/merge", status_code=202, response_model=Enrolments, responses=ASKED)
def merge(name: Name, body: Merge, call: GivenCall, caller: GeneratorWriter) -> Response:
    """Make an enrolled generator part of another one."""
    change = partial(records.merge_generators, name=name, into=body.into)
    return _ask(call, caller, body=body, reason=body.reason, change=change)


@router.post("/{name}/split", status_code=202, response_model=Enrolments, responses=ASKED)
def split(name: Name, body: Split, call: GivenCall, caller: GeneratorWriter) -> Response:
    """Make some images of an enrolled generator another one."""
    change = partial(records.split_generator, name=name, new_name=body.new_name, image_ids=body.image_ids)
    return _ask(call, caller, body=body, reason=body.reason, change=change)


@router.post("/{name}/undo", status_code=202, response_model=Enrolments, responses=ASKED)
def undo(name: Name, body: Reasoned, call: GivenCall, caller: GeneratorWriter) -> Response:
    """Take an enrolled generator back; its images go back to the quarantine."""
    change = partial(records.undo_enrolment, name=name)
    return _ask(call, caller, body=body, reason=body.reason, change=change)


@router.post("/{name}/promote", status_code=202, response_model=Enrolments, responses=ASKED)
def promote(name: Name, body: Reasoned, call: GivenCall, caller: ServiceAdmin) -> Response:
    """Make a generator that your tenant enrolled everybody's, by the gates and through shadow."""
    change = partial(promotions.promote_generator, name=name)
    return _ask(call, caller, body=body, reason=body.reason, change=change)


@router.post("/{name}/demote", status_code=202, response_model=Enrolments, responses=ASKED)
def demote(name: Name, body: Reasoned, call: GivenCall, caller: ServiceAdmin) -> Response:
    """Take a promotion back: the generator is again its tenant's own."""
    change = partial(promotions.demote_generator, name=name)
    return _ask(call, caller, body=body, reason=body.reason, change=change)


def _ask(call: KeyedCall, caller: Caller, *, body: BaseModel, reason: str, change: Change) -> Response:
    def work(session: Session) -> Answer:
        asked = change(session, _change(session, caller, reason=reason))
        found = asked if isinstance(asked, list) else [asked]
        session.flush()
        for one in found:
            session.refresh(one)
        return Answer(202, Enrolments(data=[Enrolment.model_validate(one) for one in found]))

    return call.answer_once(caller, body, work=work)


def _change(session: Session, caller: Caller, *, reason: str) -> records.Change:
    model = find_serving_model(session)
    if model is None:
        raise NoModel("no model has been registered; start a worker")
    return records.Change(
        caller.tenant_id, model.version, tuple(model.classes), actor=caller.actor, reason=reason
    )
