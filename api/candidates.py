"""The routes of candidate generators: groups among the tenant's images without a name, for a person to look at.

They are found by workers; here they are only read. Thumbnails are pictures that a worker drew.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import open_set_examples as examples
from api.auth import GeneratorReader
from api.dependencies import GivenServices
from api.documents import jpeg, problems
from leaktrace.objects import ObjectMissing, thumbnail_key
from leaktrace.records import open_set_models
from leaktrace.records.candidates import CandidateNotFound, list_candidates, medoid_hash
from leaktrace.records.database import transaction
from leaktrace.records.discovery_runs import last_run
from leaktrace.records.readiness import find_serving_model

router = APIRouter(prefix="/v1/generators/candidates", tags=["generators"])


class Candidate(BaseModel):
    """A stable group of images without a name that may come from one new generator."""

    id: UUID
    model_version: str
    state: str
    size: int
    growth: int = Field(description="Images more than at the run before.")
    runs: int = Field(description="Runs in which it was found.")
    nearest_generator: str = Field(description="The known generator that its images resemble most.")
    novelty: float = Field(
        description="Median -log density (nats) under that generator: higher is less like it."
    )
    stability: float = Field(description="How well it comes back when images are left out, 0 to 1.")
    confidence: float = Field(
        description="Stability times cohesion, halved when it comes from one batch alone."
    )
    sources: dict[str, int] = Field(
        description="Different batches, days and formats of its images, and how many people call unknown."
    )
    medoids: list[UUID] = Field(description="Ids of its most typical images.")
    created_at: datetime
    seen_at: datetime


class LastRun(BaseModel):
    """When workers last looked for groups, at how many images, and how many groups they found."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    images: int
    candidates: int


class Candidates(BaseModel):
    """The open candidates, the surest first. Before the first look for groups `last_run` is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CANDIDATES})

    data: list[Candidate]
    last_run: LastRun | None


@router.get("", response_model=Candidates, responses=problems())
def candidates(services: GivenServices, caller: GeneratorReader) -> Candidates:
    """List groups of images without a name that may come from one new generator each."""
    with transaction(services.engine) as session:
        found = list_candidates(session, caller.tenant_id)
        model = find_serving_model(session)
        run = last_run(session, caller.tenant_id, model_version=model.version) if model else None
        return Candidates(
            data=[build_candidate(candidate) for candidate in found],
            last_run=LastRun.model_validate(run) if run else None,
        )


@router.get(
    "/{candidate_id}/medoids/{number}",
    response_class=Response,
    responses=jpeg() | problems(404, 422),
)
def medoid(
    candidate_id: Annotated[UUID, Path(description="The candidate's `id`.")],
    number: Annotated[int, Path(ge=0, le=100, description="0 is the most typical image.")],
    services: GivenServices,
    caller: GeneratorReader,
) -> Response:
    """A thumbnail of one of the candidate's most typical images."""
    with transaction(services.engine) as session:
        sha256 = medoid_hash(session, caller.tenant_id, candidate_id=candidate_id, number=number)
    try:
        thumbnail = services.store.get(thumbnail_key(caller.tenant_id, sha256))
    except ObjectMissing as error:
        raise CandidateNotFound(
            f"medoid {number} of candidate {candidate_id} has no thumbnail yet"
        ) from error
    return Response(thumbnail, media_type="image/jpeg")


def build_candidate(candidate: open_set_models.Candidate) -> Candidate:
    """The candidate as its owner sees it."""
    names = Candidate.model_fields.keys() - {"growth"}
    facts = {name: getattr(candidate, name) for name in names}
    return Candidate.model_validate({**facts, "growth": candidate.size - candidate.previous_size})
