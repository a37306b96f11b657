"""What is told of refits of the density for everybody, and of the density in shadow."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import open_set_examples as examples
from api.schemas import Sha256


class Refit(BaseModel):
    """One look at the density for everybody, also when nothing came of it. `reason` says why.

    While `asked`: for a refit, or, with a `density_version`, for the promotion of that one.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [examples.REFIT]})

    id: UUID
    model_version: str
    density_version: str | None
    outcome: Literal["asked", "published", "no_change", "refused", "shadow"]
    reason: str
    details: dict[str, Any] = Field(description="What was counted, and which steps the gates refused.")
    at: datetime
    decided_at: datetime | None


class Refits(BaseModel):
    """Refits, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [examples.REFIT]}]})

    data: list[Refit]


class ShadowDifference(BaseModel):
    """How many of your images the density in force answers one way and the other one another way, or the same."""

    model_config = ConfigDict(from_attributes=True)

    before: str = Field(description="A generator, unseen or inconclusive.")
    after: str
    images: int


class ShadowReport(BaseModel):
    """What a density that was or is in shadow says of your images, beside what they were answered."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SHADOW_REPORT})

    version: str
    images: int
    named: int = Field(description="Of those, images to which a generator was named.")
    flips: int = Field(description="Of the named ones, those whose answer differs.")
    differences: list[ShadowDifference]


class ShadowImage(BaseModel):
    """One image as it was answered, and as the density in shadow would answer it."""

    model_config = ConfigDict(from_attributes=True)

    image_id: UUID
    sha256: Sha256
    before: str = Field(description="A generator, unseen or inconclusive.")
    after: str
    p_before: float
    p_after: float
    reason: str = Field(description="Why the density in shadow would say so.")


class ShadowImages(BaseModel):
    """A page of images, the newest first; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SHADOW_IMAGES})

    data: list[ShadowImage]
    next_cursor: str | None
