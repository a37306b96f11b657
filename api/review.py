"""The routes of the review queue: take an image, decide, give it back, undo; one label for many images at once.

A claim keeps an image for its reviewer for some minutes, so that two people are never given the same one.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api.auth import LabelWriter, ResultReader
from api.dependencies import GivenServices, Services
from api.documents import problems
from api.idempotency import Answer, GivenCall
from api.result_schemas import Label
from api.review_schemas import (
    BulkLabel,
    BulkOutcome,
    Claim,
    ClaimCreate,
    Claims,
    Decision,
    Release,
    TakenBack,
    Undone,
    Waiting,
    build_claim,
    build_outcome,
)
from leaktrace.records import bulk_labels
from leaktrace.records import review_claims as records
from leaktrace.records.database import transaction
from leaktrace.records.keys import SERVICE_ADMIN, Caller
from leaktrace.records.labels import NewLabel
from leaktrace.records.review_queue import Wanted, count_waiting

router = APIRouter(prefix="/v1/review", tags=["review"])
ClaimId = Annotated[UUID, Path(description="A claim's `id`.")]
ASKED = problems(404, 409, 413, 422, reads="JSON")


@router.get("", response_model=Waiting, responses=problems(422))
def waiting(
    services: GivenServices,
    caller: ResultReader,
    batch_id: Annotated[UUID | None, Query(description="Of this batch alone.")] = None,
) -> Waiting:
    """Count the images that wait for a person."""
    with transaction(services.engine) as session:
        counts = count_waiting(session, caller.tenant_id, wanted=Wanted(batch_id=batch_id))
        return Waiting.model_validate(counts)


@router.post("/claims", status_code=201, response_model=Claims, responses=problems(413, 422, reads="JSON"))
def claim(body: ClaimCreate, services: GivenServices, caller: LabelWriter) -> Claims:
    """Take the next images of the queue: appeals first, then unseen, inconclusive, and named ones."""
    wanted = Wanted(body.verdict, body.batch_id)
    with transaction(services.engine) as session:
        found = records.claim_images(session, reviewer_of(services, caller), wanted=wanted, limit=body.limit)
        return Claims(data=[build_claim(one) for one in found])


@router.post("/claims/{claim_id}/renew", response_model=Claim, responses=problems(409, 422))
def renew(claim_id: ClaimId, services: GivenServices, caller: LabelWriter) -> Claim:
    """Keep an image longer, or take back that it was skipped."""
    with transaction(services.engine) as session:
        return build_claim(records.renew_claim(session, reviewer_of(services, caller), claim_id=claim_id))


@router.post("/claims/{claim_id}/release", status_code=204, responses=problems(413, 422, reads="JSON"))
def release(claim_id: ClaimId, body: Release, services: GivenServices, caller: LabelWriter) -> None:
    """Give an image back. A claim that is over already stays over."""
    with transaction(services.engine) as session:
        records.release_claim(session, reviewer_of(services, caller), claim_id=claim_id, skip=body.skip)


@router.post("/claims/{claim_id}/decide", status_code=201, response_model=Label, responses=ASKED)
def decide(claim_id: ClaimId, body: Decision, call: GivenCall, caller: LabelWriter) -> Response:
    """Say what the image is. The label is appended, and the image leaves the queue."""
    said = body.said(trusted=SERVICE_ADMIN in caller.scopes)

    def work(session: Session) -> Answer:
        reviewer = reviewer_of(call.services, caller)
        label = records.decide(session, reviewer, claim_id=claim_id, said=said)
        session.refresh(label)
        return Answer(201, Label.model_validate(label))

    return call.answer_once(caller, body, work=work)


@router.post("/decisions/{label_id}/undo", response_model=Claim, responses=ASKED)
def undo(
    label_id: Annotated[UUID, Path(description="The label's `id`.")],
    body: TakenBack,
    services: GivenServices,
    caller: LabelWriter,
) -> Claim:
    """Take back what you said of an image, and take the image again."""
    with transaction(services.engine) as session:
        reviewer = reviewer_of(services, caller)
        return build_claim(records.undo_decision(session, reviewer, label_id=label_id, reason=body.reason))


@router.post("/bulk", response_model=BulkOutcome, responses=ASKED)
def label_many(body: BulkLabel, call: GivenCall, caller: LabelWriter) -> Response:
    """Give one label to all images of a choice, up to 5,000; or only say which they would be."""
    said = body.label.said(trusted=SERVICE_ADMIN in caller.scopes)

    def work(session: Session) -> Answer:
        if body.dry_run:
            return Answer(200, _look(session, caller, body, said=said))
        bulk_id, chosen = bulk_labels.label_images(
            session,
            caller.tenant_id,
            choice=body.choice.choice(),
            said=said,
            actor=caller.actor,
            expected=body.expected,
        )
        return Answer(200, build_outcome(chosen, bulk_id=bulk_id))

    return call.answer_once(caller, body, work=work)


@router.post("/bulk/{labelling_id}/undo", response_model=Undone, responses=ASKED)
def undo_many(
    labelling_id: Annotated[UUID, Path(description="The `bulk_id` that the labelling answered.")],
    body: TakenBack,
    services: GivenServices,
    caller: LabelWriter,
) -> Undone:
    """Take back all labels that were given in one go and stand still."""
    with transaction(services.engine) as session:
        count = bulk_labels.undo_labels(
            session, caller.tenant_id, bulk_id=labelling_id, reason=body.reason, actor=caller.actor
        )
        return Undone(count=count)


def reviewer_of(services: Services, caller: Caller) -> records.Reviewer:
    """The caller as one who reviews."""
    lease = timedelta(seconds=services.settings.review_lease_seconds)
    return records.Reviewer(caller.tenant_id, caller.actor, lease)


def look_at(services: Services, caller: Caller, body: BulkLabel) -> BulkOutcome:
    """What would be labelled."""
    with transaction(services.engine) as session:
        return _look(session, caller, body, said=body.label.said(trusted=False))


def _look(session: Session, caller: Caller, body: BulkLabel, *, said: NewLabel) -> BulkOutcome:
    chosen = bulk_labels.choose_images(
        session, caller.tenant_id, choice=body.choice.choice(), said=said, actor=caller.actor
    )
    return build_outcome(chosen, bulk_id=None)
