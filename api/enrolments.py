"""The routes of enrolled generators: name one, list what was asked for, merge, split, take back.

Each asks; a worker decides within seconds, by gates, and the enrolment then says why. What is enrolled is the
tenant's own.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.auth import GeneratorReader, GeneratorWriter, ServiceAdmin
from api.dependencies import GivenServices, Services
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
from api.idempotency import Answer, GivenKey, KeyedCall, answer_once
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
Change = Callable[[Session, records.Change], list[open_set_models.Enrolment]]


class NoModel(Unavailable):
    """No worker has registered a model yet, so nothing can be enrolled; try again when one runs."""

    code = "no_model"


@router.post("", status_code=202, response_model=Enrolments, responses=ASKED)
def enrol(
    body: EnrolmentCreate,
    request: Request,
    services: GivenServices,
    caller: GeneratorWriter,
    key: GivenKey = None,
) -> Response:
    """Name the generator of a candidate's or a batch's images."""
    asked = body.root

    def change(session: Session, change: records.Change) -> list[open_set_models.Enrolment]:
        if isinstance(asked, CandidateEnrolment):
            found = records.enrol_candidate(session, change, name=asked.name, candidate_id=asked.candidate_id)
        else:
            found = records.enrol_batch(session, change, name=asked.name, batch_id=asked.batch_id)
        return [found]

    return _ask(services, KeyedCall(caller, request, key, body), reason=asked.reason, change=change)


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
def merge(
    name: Name,
    body: Merge,
    request: Request,
    services: GivenServices,
    caller: GeneratorWriter,
    key: GivenKey = None,
) -> Response:
    """Make an enrolled generator part of another one."""

    def change(session: Session, change: records.Change) -> list[open_set_models.Enrolment]:
        return [records.merge_generators(session, change, name=name, into=body.into)]

    return _ask(services, KeyedCall(caller, request, key, body), reason=body.reason, change=change)


@router.post("/{name}/split", status_code=202, response_model=Enrolments, responses=ASKED)
def split(
    name: Name,
    body: Split,
    request: Request,
    services: GivenServices,
    caller: GeneratorWriter,
    key: GivenKey = None,
) -> Response:
    """Make some images of an enrolled generator another one."""

    def change(session: Session, change: records.Change) -> list[open_set_models.Enrolment]:
        return records.split_generator(
            session, change, name=name, new_name=body.new_name, image_ids=body.image_ids
        )

    return _ask(services, KeyedCall(caller, request, key, body), reason=body.reason, change=change)


@router.post("/{name}/undo", status_code=202, response_model=Enrolments, responses=ASKED)
def undo(
    name: Name,
    body: Reasoned,
    request: Request,
    services: GivenServices,
    caller: GeneratorWriter,
    key: GivenKey = None,
) -> Response:
    """Take an enrolled generator back; its images go back to the quarantine."""
    change = _of_one(records.undo_enrolment, name)
    return _ask(services, KeyedCall(caller, request, key, body), reason=body.reason, change=change)


@router.post("/{name}/promote", status_code=202, response_model=Enrolments, responses=ASKED)
def promote(
    name: Name,
    body: Reasoned,
    request: Request,
    services: GivenServices,
    caller: ServiceAdmin,
    key: GivenKey = None,
) -> Response:
    """Make a generator that your tenant enrolled everybody's, by the gates and through shadow."""
    change = _of_one(promotions.promote_generator, name)
    return _ask(services, KeyedCall(caller, request, key, body), reason=body.reason, change=change)


@router.post("/{name}/demote", status_code=202, response_model=Enrolments, responses=ASKED)
def demote(
    name: Name,
    body: Reasoned,
    request: Request,
    services: GivenServices,
    caller: ServiceAdmin,
    key: GivenKey = None,
) -> Response:
    """Take a promotion back: the generator is again its tenant's own."""
    change = _of_one(promotions.demote_generator, name)
    return _ask(services, KeyedCall(caller, request, key, body), reason=body.reason, change=change)


def _of_one(change_one: Callable[..., open_set_models.Enrolment], name: str) -> Change:
    return lambda session, change: [change_one(session, change, name=name)]


def _ask(
    services: Services,
    call: KeyedCall,
    *,
    reason: str,
    change: Change,
) -> Response:
    def work(session: Session) -> Answer:
        found = change(session, _change(session, call.caller, reason=reason))
        session.flush()
        for one in found:
            session.refresh(one)
        body: BaseModel = Enrolments(data=[Enrolment.model_validate(one) for one in found])
        return Answer(202, body)

    return answer_once(services, call, work=work)


def _change(session: Session, caller: Caller, *, reason: str) -> records.Change:
    model = find_serving_model(session)
    if model is None:
        raise NoModel("no model has been registered; start a worker")
    return records.Change(
        caller.tenant_id, model.version, tuple(model.classes), actor=caller.actor, reason=reason
    )
