"""What a person may say of an image, one model for each kind, so that the description says what each kind needs."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from api import examples
from api.result_schemas import Label
from api.schemas import PRINTABLE
from leaktrace.records.labels import NewLabel

GeneratorName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=PRINTABLE)]


class Confirmation(BaseModel):
    """The model's verdict is right."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["confirm"]
    reason: Reason


class Correction(BaseModel):
    """The image was made by `generator`; null says that no known generator made it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["correct"]
    generator: GeneratorName | None
    reason: Reason


class Appeal(BaseModel):
    """The verdict is disputed; somebody has to look. It stays open until a confirmation or correction follows."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["appeal"]
    generator: GeneratorName | None = None
    reason: Reason


class Withdrawal(BaseModel):
    """What was said under `label_id` is taken back; it stays in the history and counts no longer."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["withdraw"]
    label_id: UUID
    reason: Reason


class LabelCreate(
    RootModel[Annotated[Confirmation | Correction | Appeal | Withdrawal, Field(discriminator="kind")]]
):
    """What a person says of an image, or takes back."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.LABEL_CREATE})

    def said(self, *, trusted: bool) -> NewLabel:
        """The same for the records."""
        return NewLabel(**self.root.model_dump(), trusted=trusted)


class LabelHistory(BaseModel):
    """All labels of a content, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": examples.LABEL}]})

    data: list[Label]
