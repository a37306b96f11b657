"""How the service is doing, as the API gives it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api import administration_examples as examples

Level = Literal["bad", "warn"]


class QueueStatus(BaseModel):
    """What waits, of all tenants."""

    messages: int | None = Field(description="In the broker; null while it does not answer.")
    images: int = Field(description="Queued or being attributed.")


class WorkerStatus(BaseModel):
    """A worker process that has loaded its model."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    alive: bool = Field(description="It was heard from within 30 s.")
    device: str
    model_version: str
    density_version: str
    started_at: datetime
    seen_at: datetime


class MinuteStatus(BaseModel):
    """Images done in the minute that begins then."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    attributed: int
    failed: int


class SpreadStatus(BaseModel):
    """Durations in seconds."""

    model_config = ConfigDict(from_attributes=True)

    median: float
    p95: float


class FailureStatus(BaseModel):
    """Images that failed with one code in the last 24 hours."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    images: int
    last_at: datetime


class Alarm(BaseModel):
    """Something that a person should look at. It is gone when its cause is."""

    name: str
    level: Level
    detail: str


class Status(BaseModel):
    """How the service is doing. What is counted is your tenant's, or with `of=service` everybody's."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.STATUS})

    queue: QueueStatus
    workers: list[WorkerStatus]
    minutes: list[MinuteStatus] = Field(description="The last hour, the running minute last.")
    stages: dict[str, SpreadStatus] = Field(description="Seconds an image, by stage, in the last hour.")
    waiting: SpreadStatus | None = Field(
        description="Seconds from entering the queue to the end of a shard, in the last hour; null without any."
    )
    failures: list[FailureStatus]
    alarms: list[Alarm]
