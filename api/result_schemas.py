"""Results and generators as the API gives them, and how a result is built from its records.

A result is self-contained: verdict, generator, p-values, all probabilities, explanation, versions, image hash and
timings. Knows nothing of pages or formats.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from api.schemas import ItemState, Refusal, VerdictName
from leaktrace.records import models, nearest, open_set_models
from leaktrace.records.labels import LabelKind
from leaktrace.records.results import ResultRow


class CalibratedClass(BaseModel):
    """Which calibration images of a class a p-value comes from."""

    images: int
    of: Literal["stratum", "others", "class"] = Field(
        description="Of the image's stratum; of all strata of the class with too few of their own; of the class."
    )


class Calibration(BaseModel):
    """What p-values were measured against."""

    stratum: str | None = Field(description="How the file was saved and scaled, where that is known.")
    classes: dict[str, CalibratedClass]


class Attribution(BaseModel):
    """What one model version says of one image. It is evidence, not proof."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [examples.ATTRIBUTION]})

    id: UUID
    verdict: VerdictName
    generator: str | None = Field(description='The generator, or "real"; null unless verdict is "generator".')
    p_value: float = Field(description="Of the named generator, or the largest of any known one.")
    smallest_p: float = Field(description="The smallest p-value that the calibration can give this image.")
    alpha: float
    reason: str
    probabilities: dict[str, float]
    p_values: dict[str, float]
    calibration: Calibration | None = Field(description="What the p-values were measured against.")
    explanation: dict[str, Any]
    extended: bool = Field(description="A side was shorter than the model's crop and was extended.")
    model_version: str
    density_version: str
    timings: dict[str, float] = Field(description="Seconds a stage.")
    created_at: datetime


class ImageFacts(BaseModel):
    """The image itself; format and size are null until it has been decoded."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    sha256: str
    size_bytes: int
    format: str | None
    width: int | None
    height: int | None


class Label(BaseModel):
    """What a person said of an image's content, and what the model had said when they did."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": examples.LABEL})

    id: UUID
    sha256: str
    kind: LabelKind
    generator: str | None = Field(description="Null: no known generator made it.")
    reason: str
    actor: str
    model_version: str | None
    density_version: str | None
    verdict: VerdictName | None = Field(description="The model's own, at that time.")
    withdraws: UUID | None = Field(description="The label that this one takes back.")
    bulk_id: UUID | None = Field(description="Shared by labels that were given to many images at once.")
    created_at: datetime


class Discovery(BaseModel):
    """Whether the image is unseen at a false discovery rate over its whole batch (Benjamini and Hochberg)."""

    rate: float = Field(description="At most this share of the images found unseen is expected to be known.")
    adjusted_p: float = Field(description="The least rate at which the image would be found unseen.")
    unseen: bool


class Result(BaseModel):
    """One item of a batch and what became of it. What people say stands beside the model's answer, never over it."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESULT})

    type: Literal["result"] = "result"
    item_id: UUID
    batch_id: UUID
    custom_id: str
    file_name: str | None
    state: ItemState
    error: Refusal | None
    image: ImageFacts | None
    attribution: Attribution | None
    label: Label | None = Field(None, description="The newest confirmation or correction of this content.")
    appeal: Label | None = Field(None, description="An appeal that nobody has answered yet.")
    discovery: Discovery | None = Field(
        None, description="With `fdr`: beside the verdict, never in its place."
    )


class ResultPage(BaseModel):
    """A page of results; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESULT_PAGE})

    data: list[Result]
    next_cursor: str | None


class Neighbour(BaseModel):
    """An image near the one that was asked for, and what the model said of it."""

    image_id: UUID
    distance: float = Field(description="Euclidean distance of the embeddings; 0 is the same.")
    verdict: VerdictName
    generator: str | None
    p_value: float
    density_version: str


class NearestImages(BaseModel):
    """The nearest images of the tenant, the nearest first. Distances of two models cannot be compared."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.NEAREST})

    model_version: str
    data: list[Neighbour]


class Generator(BaseModel):
    """A generator that can be named, and how many of the tenant's images were attributed to it."""

    name: str
    model_version: str
    kind: Literal["known", "promoted", "enrolled"] = Field(
        "known",
        description='"promoted": enrolled, and everybody\'s now. "enrolled": by you, and for you alone.',
    )
    images: int
    median_p_value: float | None


class ModelSummary(BaseModel):
    """The model that the workers serve; `card` is what its makers say of it."""

    version: str
    card: dict[str, Any]


class Generators(BaseModel):
    """The generators that the model knows and those you enrolled; empty, with a null model, before any worker ran."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.GENERATORS})

    data: list[Generator]
    model: ModelSummary | None


def build_neighbour(found: nearest.Neighbour) -> Neighbour:
    """A near image as its owner sees it."""
    facts = {name: getattr(found.attribution, name) for name in Neighbour.model_fields.keys() - {"distance"}}
    return Neighbour.model_validate({**facts, "distance": found.distance})


def build_result(row: ResultRow) -> Result:
    """The result of one item."""
    item, image, attribution, standing = row
    error = None
    if item.error_code is not None:
        error = Refusal(code=item.error_code, detail=item.error_detail or "")
    return Result(
        item_id=item.id,
        batch_id=item.batch_id,
        custom_id=item.custom_id,
        file_name=item.file_name,
        state=item.state,  # checked by pydantic as well as by the table
        error=error,
        image=None if image is None else ImageFacts.model_validate(image),
        attribution=None if attribution is None else build_attribution(attribution),
        label=_label(standing.judgement) if standing else None,
        appeal=_label(standing.appeal) if standing else None,
    )


def _label(label: open_set_models.Label | None) -> Label | None:
    return None if label is None else Label.model_validate(label)


def build_attribution(attribution: models.Attribution) -> Attribution:
    """The attribution without its embedding."""
    return Attribution.model_validate(attribution)
