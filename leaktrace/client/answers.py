"""What the service answers, as typed records: batches, upload answers, results, generators.

They read the JSON of `docs/api.md`. Fields that a newer service adds are ignored, so an older client keeps working;
a field that is missing or of another type raises when the answer is read, never later.
"""

from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaktrace.client.errors import UnexpectedAnswer

LabelKind = Literal["confirm", "correct", "appeal"]
FINISHED_STATES = frozenset({"completed", "failed", "expired", "cancelled"})


class Answer(BaseModel):
    """Base of all answers: immutable, tolerant of additions."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Problem(Answer):
    """Why one file or one image failed: a stable code, and a sentence for people."""

    code: str
    detail: str = ""


class Counts(Answer):
    """Items of a batch by state; `total` is the sum of the others."""

    total: int = 0
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def settled(self) -> int:
        """Items that have their outcome."""
        return self.succeeded + self.failed + self.cancelled


class Batch(Answer):
    """Images submitted together."""

    id: str
    state: str
    counts: Counts
    name: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    error: Any = None
    created_at: datetime
    expires_at: datetime | None = None
    queued_at: datetime | None = None
    in_progress_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more unless it is retried."""
        return self.state in FINISHED_STATES


class FileAnswer(Answer):
    """What became of one uploaded file. A refused one did not enter the batch; `error` says why."""

    custom_id: str
    status: Literal["accepted", "duplicate", "refused"]
    item_id: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    error: Problem | None = None


class PresignedAnswer(Answer):
    """Where one announced file goes: `status` "upload" means POST `fields` and the bytes to `url`."""

    custom_id: str
    status: Literal["upload", "present", "duplicate", "refused"]
    item_id: str | None = None
    url: str | None = None
    fields: dict[str, str] | None = None
    error: Problem | None = None


class ImageFacts(Answer):
    """The image as stored: hash and size always, the rest once it was decoded."""

    id: str
    sha256: str
    size_bytes: int
    format: str | None = None
    width: int | None = None
    height: int | None = None


class Attribution(Answer):
    """What one model version says of one image: evidence, not proof."""

    id: str | None = None
    verdict: Literal["generator", "unseen", "inconclusive"]
    generator: str | None
    p_value: float
    smallest_p: float
    alpha: float
    reason: str
    probabilities: dict[str, float]
    p_values: dict[str, float]
    calibration: dict[str, Any] | None = None
    explanation: dict[str, Any]
    extended: bool = False
    model_version: str
    density_version: str
    timings: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime | None = None


class Label(Answer):
    """What a person said of an image's content; `generator` is None where no known generator made it."""

    id: str
    sha256: str
    kind: LabelKind | Literal["withdraw"]
    generator: str | None = None
    reason: str
    actor: str
    verdict: str | None = None
    withdraws: str | None = None
    created_at: datetime


class Discovery(Answer):
    """Whether the image is unseen at a false discovery rate over its whole batch."""

    rate: float
    adjusted_p: float
    unseen: bool


class Result(Answer):
    """One item's outcome: an attribution when it succeeded, an error when it failed, and what people say of it."""

    type: Literal["result"] = "result"
    item_id: str
    batch_id: str
    custom_id: str
    file_name: str | None = None
    state: str
    error: Problem | None = None
    image: ImageFacts | None = None
    attribution: Attribution | None = None
    label: Label | None = None
    appeal: Label | None = None
    discovery: Discovery | None = None


class Neighbour(Answer):
    """An image near the one that was asked for; `distance` is Euclidean, between embeddings of one model."""

    image_id: str
    distance: float
    verdict: Literal["generator", "unseen", "inconclusive"]
    generator: str | None = None
    p_value: float
    density_version: str


class NearestImages(Answer):
    """The nearest images, the nearest first."""

    model_version: str
    data: list[Neighbour]


class Generator(Answer):
    """A known generator and what was attributed to it for this tenant."""

    name: str
    model_version: str | None = None
    kind: str = "known"
    images: int = 0
    median_p_value: float | None = None


class Candidate(Answer):
    """A group of images without a name that may be one new generator; `medoids` are image ids, the typical first."""

    id: str
    model_version: str
    state: str = "open"
    size: int
    growth: int = 0
    runs: int = 1
    nearest_generator: str
    novelty: float
    stability: float
    confidence: float
    sources: dict[str, int] = Field(default_factory=dict)
    medoids: list[str] = Field(default_factory=list)
    created_at: datetime
    seen_at: datetime


class Enrolment(Answer):
    """A generator that somebody named; `outcome` says what became of it and why, once that is decided."""

    id: str
    name: str
    shared: bool = False
    state: str
    density_version: str | None = None
    gates: list[dict[str, Any]] = Field(default_factory=list)
    reason: str
    outcome: str | None = None
    created_at: datetime

    @property
    def is_decided(self) -> bool:
        """Whether a worker has looked at it."""
        return self.state not in ("pending", "withdrawing")


class Density(Answer):
    """A density version; `scope` "own" judges the tenant's images alone."""

    version: str
    model_version: str
    scope: str
    state: str
    known_images: int
    reason: str
    created_at: datetime
    activated_at: datetime | None = None


class RetryAnswer(Answer):
    """How many failed items a retry takes up (or would), by error code."""

    count: int
    codes: dict[str, int] = Field(default_factory=dict)
    executed: bool


AnswerT = TypeVar("AnswerT", bound=Answer)


def read_answer(kind: type[AnswerT], document: Any) -> AnswerT:
    """The document as a record; raises UnexpectedAnswer when it is not one."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswer(
            f"the service's answer is no {kind.__name__} ({place}: {first['msg']}); check the address and versions"
        ) from error
