"""One image as the API gives it: its facts, where it was submitted, every answer that it got, and its provenance."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from api.result_schemas import ImageFacts
from api.schemas import ItemState, VerdictName
from leaktrace.provenance import Provenance


class Appearance(BaseModel):
    """An item of a batch that shows the image."""

    model_config = ConfigDict(from_attributes=True)

    batch_id: UUID
    batch_name: str | None
    item_id: UUID
    custom_id: str
    file_name: str | None
    state: ItemState
    error_code: str | None
    error_detail: str | None
    created_at: datetime


class Answer(BaseModel):
    """What one model and density version said, in short."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    model_version: str
    density_version: str
    verdict: VerdictName
    generator: str | None
    p_value: float
    created_at: datetime


class ImageRecord(ImageFacts):
    """An image with its history; results of batches name it by the same `id`."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": examples.IMAGE_RECORD})

    created_at: datetime
    appearances: list[Appearance] = Field(description="Where it was submitted: the newest 20.")
    answers: list[Answer] = Field(description="By each model and density version, the newest first.")


class ImageProvenance(Provenance):
    """What the image's file says of its origin. It is shown beside the verdict and never used for it."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PROVENANCE})

    image_id: UUID
    sha256: str
