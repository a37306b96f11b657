"""What the service answers about refits, densities in shadow, drift and re-scores, as typed records.

Read as those of `answers` are: an older client passes over what a newer service adds.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from leaktrace.client.answers import Answer


class Refit(Answer):
    """One look at the density for everybody, or a promotion that was asked for; `reason` says what came of it."""

    id: str
    model_version: str
    density_version: str | None = None
    outcome: str
    reason: str
    details: dict[str, Any] = Field(default_factory=dict)
    at: datetime

    @property
    def is_decided(self) -> bool:
        """Whether a worker has looked at it."""
        return self.outcome != "asked"


class ShadowDifference(Answer):
    """How many images the density in force answers one way and the one in shadow another way, or the same."""

    before: str
    after: str
    images: int


class ShadowReport(Answer):
    """What a density in shadow says of the tenant's images: `flips` of the `named` ones would change."""

    version: str
    images: int
    named: int
    flips: int
    differences: list[ShadowDifference]


class ShadowImage(Answer):
    """One image as it was answered, and as a density in shadow would answer it."""

    image_id: str
    sha256: str
    before: str
    after: str
    p_before: float
    p_after: float
    reason: str


class DriftFinding(Answer):
    """What one test for drift found: an effect beside its bound, and the reason in words."""

    kind: str
    subject: str
    effect: float
    bound: float
    p_value: float
    images: int
    compared_with: int
    alarm: bool
    reason: str


class DriftAlarm(DriftFinding):
    """An alarm, and the look that raised it."""

    at: datetime
    density_version: str


class DriftReport(Answer):
    """The newest look at whether images still look as they did; `at` is None before the first."""

    model_version: str | None = None
    density_version: str | None = None
    at: datetime | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    findings: list[DriftFinding] = Field(default_factory=list)

    @property
    def alarms(self) -> list[DriftFinding]:
        """What somebody should look at."""
        return [one for one in self.findings if one.alarm]


class AnswerChange(Answer):
    """How many items went from one answer to another, or stayed, for one cause."""

    before: str
    after: str
    cause: str
    items: int


class Rescore(Answer):
    """Images judged again by what is in force: how far it is, and what differs."""

    id: str
    batch_id: str | None = None
    state: str
    model_version: str | None = None
    density_version: str | None = None
    reason: str
    error: str | None = None
    items: int
    judged: int
    flips: int
    changes: list[AnswerChange] = Field(default_factory=list)
    created_at: datetime

    @property
    def is_finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.state in ("completed", "failed")


class RescoredItem(Answer):
    """One item before and after, with the p-values of the class that each answer is about."""

    item_id: str
    custom_id: str
    batch_id: str
    image_id: str
    before: str
    after: str
    cause: str
    p_before: float
    p_after: float | None = None
    density_before: str
    density_after: str | None = None
    reason: str | None = None
    error_code: str | None = None


class Place(Answer):
    """One image in the plane, from 0 to 1 both ways, and what the model says of it."""

    image_id: str
    x: float
    y: float
    verdict: str
    generator: str | None = None
    candidate_id: str | None = None


class EmbeddingMap(Answer):
    """A sample of the tenant's embeddings in the plane; `asked_at` is not None while it is still to be drawn."""

    model_version: str | None = None
    images: int
    asked_at: datetime | None = None
    drawn_at: datetime | None = None
    places: list[Place]
