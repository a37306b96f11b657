"""The routes of labels and appeals: a person confirms, corrects or disputes what the model said of an image.

Append-only. A correction shows beside the model's verdict in the next answer for the same content of the tenant.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from sqlalchemy.orm import Session

from api.auth import LabelWriter, ResultReader
from api.dependencies import GivenServices
from api.documents import problems
from api.idempotency import Answer, GivenCall
from api.label_schemas import LabelCreate, LabelHistory
from api.result_schemas import Label
from leaktrace.records import labels as records
from leaktrace.records.database import transaction
from leaktrace.records.keys import SERVICE_ADMIN

router = APIRouter(prefix="/v1/images", tags=["labels"])
ImageId = Annotated[UUID, Path(description="The image's `id`, as results give it.")]


@router.post(
    "/{image_id}/labels",
    status_code=201,
    response_model=Label,
    responses=problems(404, 409, 413, 422, reads="JSON"),
)
def add(image_id: ImageId, body: LabelCreate, call: GivenCall, caller: LabelWriter) -> Response:
    """Confirm or correct the verdict of an image, or appeal against it. It is remembered at once."""

    def work(session: Session) -> Answer:
        said = body.said(trusted=SERVICE_ADMIN in caller.scopes)
        label = records.add_label(session, caller.tenant_id, image_id=image_id, said=said, actor=caller.actor)
        session.refresh(label)
        return Answer(201, Label.model_validate(label))

    return call.answer_once(caller, body, work=work)


@router.get("/{image_id}/labels", response_model=LabelHistory, responses=problems(404, 422))
def history(image_id: ImageId, services: GivenServices, caller: ResultReader) -> LabelHistory:
    """Everything that was said of the image's content, the newest first."""
    with transaction(services.engine) as session:
        found = records.list_labels(session, caller.tenant_id, image_id=image_id)
        return LabelHistory(data=[Label.model_validate(label) for label in found])
