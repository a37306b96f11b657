"""The routes of densities: which versions there are, which judge the tenant's images, and back to the one before."""

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.auth import DensityReader, DensityWriter, require_scope_of
from api.dependencies import GivenServices
from api.documents import problems
from api.enrolment_schemas import Densities, Density, Rollback, RolledBack
from api.idempotency import Answer, GivenCall
from leaktrace.records import density_models
from leaktrace.records.database import transaction
from leaktrace.records.keys import SERVICE_ADMIN
from leaktrace.records.readiness import find_serving_model
from leaktrace.records.rollback import NothingToRollBack, list_densities, roll_back

router = APIRouter(prefix="/v1/density", tags=["density"])
COLUMNS = frozenset(Density.model_fields) - {"scope"}


@router.get("", response_model=Densities, responses=problems())
def densities(services: GivenServices, caller: DensityReader) -> Densities:
    """List the density versions of the serving model: those for everybody, and your own."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            return Densities(data=[])
        found = list_densities(session, model.version, tenant_id=caller.tenant_id)
        return Densities(data=[build_density(row) for row in found])


@router.post("/rollback", response_model=RolledBack, responses=problems(409, 413, 422, reads="JSON"))
def rollback(body: Rollback, call: GivenCall, caller: DensityWriter) -> Response:
    """Go back to the density before this one, and to its enrolments or promotions. It holds from the next shard on."""
    if body.scope == "shared":
        require_scope_of(caller, SERVICE_ADMIN)
    tenant_id = caller.tenant_id if body.scope == "own" else None

    def work(session: Session) -> Answer:
        model = find_serving_model(session)
        if model is None:
            raise NothingToRollBack("no model has been registered")
        restored = roll_back(
            session, model.version, tenant_id=tenant_id, actor=caller.actor, reason=body.reason
        )
        return Answer(200, RolledBack(version=restored))

    return call.answer_once(caller, body, work=work)


def build_density(row: density_models.DensityVersion) -> Density:
    """The version as its tenant sees it."""
    columns = {name: getattr(row, name) for name in COLUMNS}
    return Density.model_validate({**columns, "scope": "shared" if row.tenant_id is None else "own"})
