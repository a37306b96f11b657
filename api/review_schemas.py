"""What reviewers ask for and are told: claims of images, decisions, and one label for many images."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from api import review_examples as examples
from api.label_schemas import Confirmation, Correction, GeneratorName, Reason
from api.result_schemas import Result, build_result
from api.schemas import VerdictName
from leaktrace.records.bulk_labels import MOST_AT_ONCE, Choice, Chosen
from leaktrace.records.labels import NewLabel
from leaktrace.records.review_claims import Claimed
from leaktrace.records.review_queue import COUNTED_UP_TO

MOST_CLAIMS = 50
SHOWN_OF_CHOICE = 60


def _whole(value: object) -> object:
    """In JSON 26.0 is a whole number too; true is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


class Waiting(BaseModel):
    """Images that nobody has judged, by whose turn it is; each counted up to 1,000."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.WAITING})

    appeal: Annotated[int, Field(le=COUNTED_UP_TO)]
    unseen: Annotated[int, Field(le=COUNTED_UP_TO)]
    inconclusive: Annotated[int, Field(le=COUNTED_UP_TO)]
    generator: Annotated[int, Field(le=COUNTED_UP_TO, description="With a verdict that names a generator.")]


class ClaimCreate(BaseModel):
    """How many images, and of which verdict or batch alone."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.CLAIM_CREATE})

    limit: Annotated[int, Field(ge=1, le=MOST_CLAIMS, strict=True), WHOLE] = 1
    verdict: VerdictName | None = None
    batch_id: UUID | None = None


class Claim(BaseModel):
    """An image that is kept for you until `expires_at`."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CLAIM]})

    id: UUID
    expires_at: datetime
    result: Result


class Claims(BaseModel):
    """The claims that were made; none when nothing waits."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CLAIMS})

    data: list[Claim]


class Release(BaseModel):
    """Give an image back; `skip` gives you others before it for 12 hours."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.RELEASE})

    skip: Annotated[bool, Field(strict=True)] = False


class Decision(RootModel[Annotated[Confirmation | Correction, Field(discriminator="kind")]]):
    """What a reviewer says of an image."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.DECISION})

    def said(self, *, trusted: bool) -> NewLabel:
        """The same for the records."""
        return NewLabel(**self.root.model_dump(), trusted=trusted)


class TakenBack(BaseModel):
    """Why something is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.TAKEN_BACK})

    reason: Reason


class BulkChoice(BaseModel):
    """Which images: all conditions that are given must hold. Images that somebody has judged never count."""

    model_config = ConfigDict(extra="forbid")

    verdict: VerdictName | None = None
    generator: Annotated[GeneratorName | None, Field(description="That the model names.")] = None
    batch_id: UUID | None = None
    candidate_id: Annotated[UUID | None, Field(description="Members of a candidate generator.")] = None
    largest_p: Annotated[float | None, Field(ge=0, le=1, description="Largest p-value.", strict=True)] = None
    near: Annotated[UUID | None, Field(description="An image; it and those that resemble it most.")] = None
    nearest: Annotated[
        int, Field(ge=1, le=200, description="How many belong to `near`.", strict=True), WHOLE
    ] = 20
    copies_of: Annotated[UUID | None, Field(description="An image; it and its near copies.")] = None

    def choice(self) -> Choice:
        """The same for the records."""
        return Choice(**self.model_dump())


class BulkLabel(BaseModel):
    """First look (`dry_run`), then do the same with `expected`, the count that you were shown."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.BULK_LABEL})

    choice: BulkChoice
    label: Decision
    dry_run: Annotated[bool, Field(strict=True)]
    expected: Annotated[int, Field(ge=0, le=MOST_AT_ONCE, strict=True), WHOLE] = 0


class ChosenImage(BaseModel):
    """An image of the choice, and what the model says of it."""

    image_id: UUID
    sha256: str
    verdict: VerdictName
    generator: str | None
    p_value: float


class BulkOutcome(BaseModel):
    """What is labelled, or would be."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.BULK_OUTCOME})

    dry_run: bool
    bulk_id: UUID | None = Field(description="By which it is taken back; null after a look.")
    count: int
    left_out: int = Field(description="Images of the choice beyond the 5,000 that one go takes.")
    unconfirmable: int = Field(description="Images without a verdict that a confirmation could confirm.")
    verdicts: dict[str, int] = Field(description="How many images the model says what of.")
    sample: list[ChosenImage] = Field(description="The first 60.")


class Undone(BaseModel):
    """How many labels were taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.UNDONE})

    count: int


def build_claim(claimed: Claimed) -> Claim:
    """The claim as its reviewer sees it."""
    return Claim(id=claimed.claim.id, expires_at=claimed.claim.expires_at, result=build_result(claimed.row))


def build_outcome(chosen: Chosen, *, bulk_id: UUID | None) -> BulkOutcome:
    """What the choice holds, and its first images."""
    sample = [
        ChosenImage(
            image_id=image.id,
            sha256=image.sha256,
            verdict=seen.verdict,
            generator=seen.generator,
            p_value=seen.p_value,
        )
        for image, seen in chosen.images[:SHOWN_OF_CHOICE]
    ]
    return BulkOutcome(
        dry_run=bulk_id is None,
        bulk_id=bulk_id,
        count=len(chosen.images),
        left_out=chosen.left_out,
        unconfirmable=chosen.unconfirmable,
        verdicts=chosen.verdicts,
        sample=sample,
    )
