"""The routes of the density for everybody: its refits, and what one in shadow would say of the caller's images."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api.auth import DensityReader, ServiceAdmin
from api.dependencies import GivenServices
from api.documents import problems
from api.enrolment_schemas import Reasoned
from api.enrolments import NoModel
from api.idempotency import Answer, GivenCall
from api.refit_schemas import Refit, Refits, ShadowDifference, ShadowImage, ShadowImages, ShadowReport
from leaktrace.records.challengers import (
    count_shadow,
    find_density,
    list_judged_twice,
    shadow_differences,
)
from leaktrace.records.database import transaction
from leaktrace.records.readiness import find_serving_model
from leaktrace.records.refits import ask_promotion, ask_refit, list_refits

router = APIRouter(prefix="/v1/density", tags=["density"])
Version = Annotated[
    str, Path(description="A density's `version`.", max_length=200, pattern=r"^[A-Za-z0-9._-]+$")
]


@router.get("/refits", response_model=Refits, responses=problems())
def refits(services: GivenServices, caller: DensityReader) -> Refits:  # noqa: ARG001 - for its scope
    """List the refits of the serving model's density, also those that changed nothing."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        found = list_refits(session, model.version) if model is not None else []
        return Refits(data=[Refit.model_validate(one) for one in found])


@router.post("/refits", status_code=202, response_model=Refit, responses=problems(413, 422, reads="JSON"))
def refit(body: Reasoned, call: GivenCall, caller: ServiceAdmin) -> Response:
    """Fit the density for everybody again now, if any image was newly confirmed. A worker decides within seconds."""

    def work(session: Session) -> Answer:
        model = find_serving_model(session)
        if model is None:
            raise NoModel("no model has been registered; start a worker")
        asked = ask_refit(session, model.version, actor=caller.actor, reason=body.reason)
        session.refresh(asked)
        return Answer(202, Refit.model_validate(asked))

    return call.answer_once(caller, body, work=work)


@router.post(
    "/{version}/promote",
    status_code=202,
    response_model=Refit,
    responses=problems(404, 409, 413, 422, reads="JSON"),
)
def promote(version: Version, body: Reasoned, call: GivenCall, caller: ServiceAdmin) -> Response:
    """Let a density for everybody answer now: one in shadow, by its gates, or one that did before. A worker decides."""

    def work(session: Session) -> Answer:
        asked = ask_promotion(
            session, version, tenant_id=caller.tenant_id, actor=caller.actor, reason=body.reason
        )
        session.refresh(asked)
        return Answer(202, Refit.model_validate(asked))

    return call.answer_once(caller, body, work=work)


@router.get("/{version}/shadow", response_model=ShadowReport, responses=problems(404, 422))
def shadow(version: Version, services: GivenServices, caller: DensityReader) -> ShadowReport:
    """What a density says, or said, in shadow of your images, beside what they were answered."""
    with transaction(services.engine) as session:
        find_density(session, version, tenant_id=caller.tenant_id)
        score = count_shadow(session, version, tenant_id=caller.tenant_id)
        found = shadow_differences(session, version, tenant_id=caller.tenant_id)
    return ShadowReport(
        version=version,
        images=score.images,
        named=score.named,
        flips=score.flips,
        differences=[ShadowDifference.model_validate(one) for one in found],
    )


@router.get("/{version}/shadow/images", response_model=ShadowImages, responses=problems(400, 404, 422))
def shadow_images(
    version: Version,
    services: GivenServices,
    caller: DensityReader,
    changed: Annotated[bool, Query(description="Only images whose answer would change.")] = True,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> ShadowImages:
    """List your images as they were answered and as a density in shadow would answer them, the newest first."""
    listing = ("shadow-images", caller.tenant_id, version, changed)
    position = services.cursors.open(cursor, listing=listing)
    with transaction(services.engine) as session:
        find_density(session, version, tenant_id=caller.tenant_id)
        found = list_judged_twice(
            session,
            version,
            tenant_id=caller.tenant_id,
            changed=changed,
            limit=limit + 1,
            before=UUID(position) if position else None,
        )
    page, further = services.cursors.cut(
        found, limit, listing=listing, position=lambda one: one.attribution_id
    )
    return ShadowImages(data=[ShadowImage.model_validate(one) for one in page], next_cursor=further)
