"""The routes of models: which have been registered, and the card of each, which tells what was measured of it."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.auth import DensityReader
from api.dependencies import GivenServices
from api.documents import problems
from api.model_schemas import Model, ModelCard, Models
from leaktrace.records.database import transaction
from leaktrace.records.models import ModelVersion
from leaktrace.records.readiness import find_serving_model
from leaktrace.records.registry import find_model, list_models

router = APIRouter(prefix="/v1/models", tags=["models"])
Version = Annotated[
    str, Path(description="A model's `version`.", max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]


@router.get("", response_model=Models, responses=problems())
def models(services: GivenServices, caller: DensityReader) -> Models:  # noqa: ARG001 - for its scope
    """List the models that workers have registered, the newest first."""
    with transaction(services.engine) as session:
        serving = find_serving_model(session)
        found = list_models(session)
    version = serving.version if serving is not None else None
    return Models(data=[build_model(one, is_serving=one.version == version) for one in found])


@router.get("/{version}", response_model=ModelCard, responses=problems(404, 422))
def card(version: Version, services: GivenServices, caller: DensityReader) -> ModelCard:  # noqa: ARG001
    """Read the card of a model: its data, its figures with their intervals, its limits."""
    with transaction(services.engine) as session:
        model = find_model(session, version)
        serving = find_serving_model(session)
    is_serving = serving is not None and serving.version == version
    return ModelCard(
        **build_model(model, is_serving=is_serving).model_dump(), card=_without_vectors(model.card)
    )


def build_model(model: ModelVersion, *, is_serving: bool) -> Model:
    """The model without its card."""
    names = ("version", "classes", "embedding_dim", "judged_dim", "registered_at", "retired_at")
    return Model(is_serving=is_serving, **{name: getattr(model, name) for name in names})


def _without_vectors(card: dict[str, object]) -> dict[str, object]:
    """The golden embeddings are thousands of numbers that tell a reader nothing."""
    return {name: section for name, section in card.items() if name != "golden"}
