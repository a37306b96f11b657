"""What people ask to be judged again, and what they are told of it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from api import open_set_examples as examples
from api.label_schemas import Reason


class BatchRescore(BaseModel):
    """The answered images of a batch."""

    model_config = ConfigDict(extra="forbid")

    of: Literal["batch"]
    batch_id: UUID
    reason: Reason


class TimeRescore(BaseModel):
    """The answered images that were submitted in a range of time."""

    model_config = ConfigDict(extra="forbid")

    of: Literal["time"]
    since: AwareDatetime = Field(description="Submitted at this time or later; any time before 1970 is 1970.")
    until: AwareDatetime | None = Field(None, description="Submitted before this time; null: until now.")
    reason: Reason


class RescoreCreate(RootModel[Annotated[BatchRescore | TimeRescore, Field(discriminator="of")]]):
    """Which images are judged again, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESCORE_CREATE})


class AnswerChange(BaseModel):
    """How many items went from one answer to another, or stayed, for one cause."""

    model_config = ConfigDict(from_attributes=True)

    before: str = Field(description="A generator, unseen or inconclusive.")
    after: str = Field(description="The same, or failed.")
    cause: Literal["none", "model", "enrolled", "withdrawn", "density", "failed"] = Field(
        description="enrolled: a generator that the density before did not know. withdrawn: one that the density after "
        "does not know. density, model: another version of it. none: it was answered by the same versions."
    )
    items: int


class Rescore(BaseModel):
    """A re-score. Items keep their answer; the report says what differs by the versions in force when it began."""

    id: UUID
    batch_id: UUID | None
    since: datetime | None
    until: datetime | None
    state: Literal["asked", "running", "completed", "failed"]
    model_version: str | None
    density_version: str | None
    reason: str
    error: str | None
    actor: str
    items: int = Field(description="Answered items that it is of.")
    judged: int = Field(description="Of those, judged again so far.")
    flips: int = Field(description="Of the judged ones, those whose answer differs.")
    changes: list[AnswerChange]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESCORE})


class Rescores(BaseModel):
    """Re-scores, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESCORES})

    data: list[Rescore]


class RescoredItem(BaseModel):
    """One item before and after; p-values are those of the class that each answer is about."""

    model_config = ConfigDict(from_attributes=True)

    item_id: UUID
    custom_id: str
    batch_id: UUID
    image_id: UUID
    before: str
    after: str
    cause: str
    p_before: float
    p_after: float | None
    model_before: str
    model_after: str | None
    density_before: str
    density_after: str | None
    reason: str | None = Field(description="Why it is answered so now.")
    error_code: str | None


class RescoredItems(BaseModel):
    """A page of items; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RESCORED_ITEMS})

    data: list[RescoredItem]
    next_cursor: str | None
