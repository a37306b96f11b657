"""The route of generators: what the serving model knows, and what it found among the tenant's images."""

from fastapi import APIRouter

from api.auth import GeneratorReader
from api.dependencies import GivenServices
from api.documents import problems
from api.result_schemas import Generator, Generators, ModelSummary
from leaktrace.records.database import transaction
from leaktrace.records.enrolments import standing_enrolments
from leaktrace.records.promotions import standing_promotions
from leaktrace.records.readiness import count_generators, find_serving_model

router = APIRouter(prefix="/v1", tags=["generators"])


@router.get("/generators", response_model=Generators, responses=problems())
def generators(services: GivenServices, caller: GeneratorReader) -> Generators:
    """List the generators that the model knows and those you enrolled, with your images attributed to each."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            return Generators(data=[], model=None)
        used = count_generators(session, caller.tenant_id, model_version=model.version)
        own = standing_enrolments(session, caller.tenant_id, model_version=model.version)
        promoted = standing_promotions(session, model.version)
        names = [
            *((name, "known") for name in model.classes),
            *((one.name, "promoted") for one in promoted),
            *((one.name, "enrolled") for one in own),
        ]
    data = [
        Generator(
            name=name,
            model_version=model.version,
            kind=kind,
            images=used[name].images if name in used else 0,
            median_p_value=used[name].median_p_value if name in used else None,
        )
        for name, kind in names
    ]
    return Generators(data=data, model=ModelSummary(version=model.version, card=model.card))
