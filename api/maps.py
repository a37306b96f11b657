"""Routes of the map: a sample of the tenant's embeddings in the plane, drawn by a worker, and asking for a new one."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api import review_examples as examples
from api.auth import GeneratorReader, GeneratorWriter
from api.dependencies import GivenServices
from api.documents import problems
from api.enrolments import NoModel
from api.schemas import VerdictName
from leaktrace.records import maps as records
from leaktrace.records.database import transaction
from leaktrace.records.readiness import find_serving_model

router = APIRouter(prefix="/v1/generators/map", tags=["generators"])


class Place(BaseModel):
    """One image, and what the model says of it."""

    model_config = ConfigDict(from_attributes=True)

    image_id: UUID
    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    verdict: VerdictName
    generator: str | None
    candidate_id: UUID | None = Field(description="The group of images without a name that it belongs to.")


class Map(BaseModel):
    """Embeddings of one model in the plane (UMAP): what is near is alike, far distances say little."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": examples.MAP})

    model_version: str | None
    images: int = Field(description="Of which `places` are a sample of at most 2,000.")
    asked_at: datetime | None = Field(description="Not null while a worker has still to draw it.")
    drawn_at: datetime | None = Field(description="Null before the first.")
    places: list[Place]


@router.get("", response_model=Map, responses=problems())
def read(services: GivenServices, caller: GeneratorReader) -> Map:
    """Read the newest map of your images by the serving model."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            return Map(model_version=None, images=0, asked_at=None, drawn_at=None, places=[])
        found = records.read_map(session, caller.tenant_id, model_version=model.version)
        return Map(
            model_version=model.version,
            images=found.images,
            asked_at=found.asked_at,
            drawn_at=found.drawn_at,
            places=[Place.model_validate(one) for one in found.places],
        )


@router.post("", status_code=202, response_model=Map, responses=problems())
def ask(services: GivenServices, caller: GeneratorWriter) -> Map:
    """Have a worker draw the map anew; it takes seconds."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        if model is None:
            raise NoModel("no model has been registered; start a worker")
        records.ask_for_map(session, caller.tenant_id, model_version=model.version)
    return read(services, caller)
