"""What the API takes and gives, as pydantic models with an example each; OpenAPI is made from them.

Requests forbid unknown fields, so that a misspelt one is noticed. Responses are built from records by the routes.
Knows nothing of SQL, queues or stores.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api import examples

BatchState = Literal[
    "uploading",
    "validating",
    "queued",
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelling",
    "cancelled",
    "deleting",
]
ItemState = Literal["pending", "running", "succeeded", "failed", "cancelled"]
VerdictName = Literal["generator", "unseen", "inconclusive"]

MAX_CUSTOM_ID_CHARACTERS = 256
MAX_FILE_NAME_CHARACTERS = 512
MAX_METADATA_ENTRIES = 32
MAX_METADATA_KEY_CHARACTERS = 64
MAX_PROMISES = 1000
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

CustomId = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CUSTOM_ID_CHARACTERS, pattern=PRINTABLE)
]
FileName = Annotated[str, StringConstraints(max_length=MAX_FILE_NAME_CHARACTERS, pattern=PRINTABLE)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MetadataKey = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_METADATA_KEY_CHARACTERS, pattern=PRINTABLE)
]
MetadataText = Annotated[str, StringConstraints(max_length=512, pattern=PRINTABLE)]
MetadataNumber = (
    Annotated[int, Field(ge=-(10**15), le=10**15)]
    | Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
)


def _describe_keys(schema: dict[str, Any]) -> None:
    """Say what pydantic checks of a dictionary's keys: it writes patternProperties, which forbids no other key."""
    ((pattern, values),) = schema.pop("patternProperties").items()
    schema["additionalProperties"] = values
    schema["propertyNames"] = {"pattern": pattern, "minLength": 1, "maxLength": MAX_METADATA_KEY_CHARACTERS}


def read_whole(value: object) -> object:
    """JSON knows one kind of number: 2.0 is the integer 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(read_whole)]


def _read_time(value: object) -> object:
    """RFC 3339 and nothing else: no numbers, and no time without its zone."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("give a time with its zone, such as 2026-01-05T09:30:00Z")
    return datetime.fromisoformat(value.upper())


Moment = Annotated[AwareDatetime, BeforeValidator(_read_time)]


class Given(BaseModel):
    """A request body: unknown fields are refused, and no value is turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProblemPart(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="`#/...` into the body, or `query:name`, `path:name`, `header:name`.")
    code: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable; `detail` is for a person."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[ProblemPart] = []


class BatchCreate(Given):
    """A new batch. Everything is optional."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.BATCH_CREATE})

    name: Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)] | None = None
    metadata: dict[MetadataKey, bool | MetadataNumber | MetadataText] = Field(
        default={},
        max_length=MAX_METADATA_ENTRIES,
        description="Your own notes; given back unchanged.",
        json_schema_extra=_describe_keys,
    )


class Counts(BaseModel):
    """Items by state; `total` is always the sum of the others."""

    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class Batch(BaseModel):
    """Images submitted together. Each `<state>_at` is null until the state has been entered."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.BATCH})

    id: UUID
    object: Literal["batch"] = "batch"
    name: str | None
    metadata: dict[str, Any]
    state: BatchState
    error: str | None = Field(description="Why the batch itself could not be taken.")
    counts: Counts
    created_at: datetime
    expires_at: datetime
    uploading_at: datetime
    validating_at: datetime | None
    queued_at: datetime | None
    in_progress_at: datetime | None
    finalizing_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelling_at: datetime | None
    cancelled_at: datetime | None
    deleting_at: datetime | None


class BatchPage(BaseModel):
    """A page of batches, newest first; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.BATCH_PAGE})

    data: list[Batch]
    next_cursor: str | None


class Refusal(BaseModel):
    """Why one file or item failed: a stable code, and words for a person."""

    code: str
    detail: str


class FileAnswer(BaseModel):
    """What became of one file of an upload. `duplicate`: the batch had it already, so resending is harmless."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.FILES})

    custom_id: str | None = Field(description="Null when the part gave none that can be used.")
    status: Literal["accepted", "duplicate", "refused"]
    item_id: UUID | None
    sha256: str
    size_bytes: int
    error: Refusal | None


class UploadAnswers(BaseModel):
    """One answer a file, in the order in which the files came."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.UPLOAD_ANSWERS})

    data: list[FileAnswer]


class PromisedFile(Given):
    """A file that the client is going to post straight to the store."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PROMISED_FILE})

    custom_id: CustomId
    file_name: FileName | None = None
    sha256: Sha256
    size_bytes: WholeNumber = Field(ge=1, le=2**53)


class Promises(Given):
    """Files to be posted; each is answered for itself."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PROMISES})

    files: list[PromisedFile] = Field(min_length=1, max_length=MAX_PROMISES)
    resume: bool = Field(
        False,
        description="Answer `present` for files that were posted before, though none has been checked yet.",
    )


class PromiseAnswer(BaseModel):
    """How to post one file: a multipart form of `fields`, then the file as `file`, to `url`.

    `present`: the bytes are there already, nothing has to be sent. `duplicate`: the batch has the item, complete.
    """

    custom_id: str
    item_id: UUID | None
    status: Literal["upload", "present", "duplicate", "refused"]
    url: str | None
    fields: dict[str, str] | None
    error: Refusal | None


class PromiseAnswers(BaseModel):
    """One answer a file, in the order of the request; the forms are good until `expires_at`."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PROMISE_ANSWERS})

    data: list[PromiseAnswer]
    expires_at: datetime


class RetryRequest(Given):
    """`dry_run` only counts what would be retried."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RETRY})

    dry_run: bool = True


class RetryAnswer(BaseModel):
    """How many failed items are concerned, by error code, and whether they were sent off again."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RETRIED})

    count: int
    codes: dict[str, int]
    executed: bool


class Check(BaseModel):
    """One thing that readiness needs."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether batches would be processed now, and what is missing if not."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.NOT_READY})

    ready: bool
    checks: dict[str, Check]


class Liveness(BaseModel):
    """The process answers; nothing else was looked at."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.LIVE})

    live: Literal[True] = True
