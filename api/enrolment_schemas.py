"""What people ask of enrolled generators and of densities, and what they are told."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from api import open_set_examples as examples
from api.label_schemas import Reason
from api.schemas import Sha256

GeneratorName = Annotated[
    str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
]
EnrolmentState = Literal["pending", "active", "refused", "withdrawing", "undone"]
MAX_SPLIT_IMAGES = 10_000


class CandidateEnrolment(BaseModel):
    """The images of a candidate were made by the generator `name`."""

    model_config = ConfigDict(extra="forbid")

    of: Literal["candidate"]
    name: GeneratorName
    candidate_id: UUID
    reason: Reason


class BatchEnrolment(BaseModel):
    """The images of a batch, at least 50, were all made by the generator `name`."""

    model_config = ConfigDict(extra="forbid")

    of: Literal["batch"]
    name: GeneratorName
    batch_id: UUID
    reason: Reason


class EnrolmentCreate(RootModel[Annotated[CandidateEnrolment | BatchEnrolment, Field(discriminator="of")]]):
    """Which images are a generator's."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ENROLMENT_CREATE})


class Merge(BaseModel):
    """All images of the generator belong to `into`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.MERGE})

    into: GeneratorName
    reason: Reason


class Split(BaseModel):
    """These images of the generator belong to another one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.SPLIT})

    new_name: GeneratorName
    image_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_SPLIT_IMAGES)]
    reason: Reason


class Reasoned(BaseModel):
    """Why it is done; kept in the audit trail."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.REASONED})

    reason: Reason


class GateReport(BaseModel):
    """One gate: what was measured, its bound, and whether it was passed."""

    name: str
    passed: bool
    measured: float
    limit: float
    detail: str


class Enrolment(BaseModel):
    """A generator that somebody named, and what became of it. `outcome` says why, once it is decided."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    change_id: UUID
    name: str
    shared: bool = Field(description="A promotion: the generator becomes everybody's.")
    state: EnrolmentState
    model_version: str
    density_version: str | None
    replaces: list[UUID]
    candidate_id: UUID | None
    gates: list[GateReport]
    reason: str
    outcome: str | None
    actor: str
    created_at: datetime
    decided_at: datetime | None


class Enrolments(BaseModel):
    """Enrolments, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ENROLMENTS})

    data: list[Enrolment]


class Examples(BaseModel):
    """Images that an enrolled generator was made of: how many there are, and ids of the first."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.EXAMPLE_IMAGES})

    count: int
    data: list[UUID]


class Density(BaseModel):
    """A density version. `scope` says whose images it judges while it is active."""

    version: str
    model_version: str
    scope: Literal["shared", "own"]
    state: Literal["candidate", "shadow", "active", "retired", "rejected"]
    sha256: Sha256
    known_images: int
    reason: str
    details: dict[str, Any]
    gates: list[GateReport] = Field(description="What was measured before it was promoted or refused.")
    outcome: str | None = Field(description="Why it was promoted or refused.")
    created_at: datetime
    shadowed_at: datetime | None = Field(description="Since when it judges in shadow, never as the answer.")
    activated_at: datetime | None
    retired_at: datetime | None


class Densities(BaseModel):
    """Density versions, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DENSITIES})

    data: list[Density]


class Rollback(BaseModel):
    """Whose density goes back to the one before, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.ROLLBACK})

    scope: Literal["own", "shared"] = Field(
        "own", description='"own": yours. "shared": everybody\'s, which needs the scope service:admin.'
    )
    reason: Reason


class RolledBack(BaseModel):
    """The version that judges from now on; null: the shared one judges your images."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ROLLED_BACK})

    version: str | None
