"""What is told of drift: what each test found, with its effect, its bound and the reason in words."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api import open_set_examples as examples


class DriftFinding(BaseModel):
    """One test. An alarm needs both: a p-value that chance does not explain, and an effect over its bound."""

    model_config = ConfigDict(from_attributes=True)

    kind: Literal["golden", "live", "rate", "embedding"] = Field(
        description="golden, live: p-values are uniform (KS distance). rate: the share of an answer. "
        "embedding: energy coefficient against the images before."
    )
    subject: str = Field(description="A generator or verdict; empty where all images count.")
    effect: float
    bound: float
    p_value: float
    images: int
    compared_with: int
    alarm: bool
    reason: str


class DriftReport(BaseModel):
    """The newest look; without one, `at` is null and there are no findings."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DRIFT_REPORT})

    model_version: str | None
    density_version: str | None
    at: datetime | None
    details: dict[str, Any] = Field(description="Images and tenants of both windows.")
    findings: list[DriftFinding]


class DriftAlarm(DriftFinding):
    """An alarm, and the look that raised it."""

    at: datetime
    density_version: str


class DriftAlarms(BaseModel):
    """Alarms, those of the newest look first; the next ones by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DRIFT_ALARMS})

    data: list[DriftAlarm]
    next_cursor: str | None
