"""The routes of drift: the newest look with all that its tests found, and the alarms of all looks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.auth import DensityReader
from api.dependencies import GivenServices
from api.documents import problems
from api.drift_schemas import DriftAlarm, DriftAlarms, DriftFinding, DriftReport
from leaktrace.records.database import transaction
from leaktrace.records.drift import findings_of, latest_run, list_alarms
from leaktrace.records.readiness import find_serving_model

router = APIRouter(prefix="/v1/drift", tags=["density"])


@router.get("", response_model=DriftReport, responses=problems())
def drift(services: GivenServices, caller: DensityReader) -> DriftReport:  # noqa: ARG001 - for its scope
    """Whether images still look as they did, over all tenants: the newest look, alarms first, each with its reason."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        run = latest_run(session, model.version) if model is not None else None
        if model is None or run is None:
            version = model.version if model is not None else None
            return DriftReport(model_version=version, density_version=None, at=None, details={}, findings=[])
        return DriftReport(
            model_version=run.model_version,
            density_version=run.density_version,
            at=run.at,
            details=run.details,
            findings=[DriftFinding.model_validate(one) for one in findings_of(session, run)],
        )


@router.get("/alarms", response_model=DriftAlarms, responses=problems(400, 422))
def alarms(
    services: GivenServices,
    caller: DensityReader,
    limit: Annotated[int, Query(ge=1, le=200, description="Looks with an alarm.")] = 50,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> DriftAlarms:
    """List the alarms of all looks, the newest look first; an alarm that stays is in each."""
    listing = ("drift-alarms", caller.tenant_id)
    position = services.cursors.open(cursor, listing=listing)
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            return DriftAlarms(data=[], next_cursor=None)
        found = list_alarms(
            session, model.version, limit=limit + 1, before=UUID(position) if position else None
        )
    looks = list(dict.fromkeys(run.id for run, _ in found))
    page, further = services.cursors.cut(looks, limit, listing=listing, position=lambda look: look)
    return DriftAlarms(
        data=[
            DriftAlarm(
                **DriftFinding.model_validate(finding).model_dump(),
                at=run.at,
                density_version=run.density_version,
            )
            for run, finding in found
            if run.id in page
        ],
        next_cursor=further,
    )
