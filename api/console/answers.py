"""What the forms of decisions have in common: the answer behind one button, and fields that may be left empty."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.label_schemas import Confirmation, Correction
from api.review_schemas import Decision
from api.schemas import PRINTABLE

WHY = "looked at in the review queue"

Said = Annotated[str, Field(pattern=r"^(confirm|none|generator:[\x21-\x7e]{1,200})$")]
Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=PRINTABLE)]


class Form(BaseModel):
    """Fields of a form or an address; one that was left empty says nothing."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: object) -> object:
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value != ""}
        return given


class Decided(Form):
    """One answer: `confirm`, `none` (no known generator) or `generator:<name>`, and why."""

    said: Said
    reason: Why = ""


def as_decision(form: Decided) -> Decision:
    """The answer for the API; where no reason was typed, it is the queue itself."""
    reason = form.reason or WHY
    if form.said == "confirm":
        return Decision(Confirmation(kind="confirm", reason=reason))
    named = None if form.said == "none" else form.said.removeprefix("generator:")
    return Decision(Correction(kind="correct", generator=named, reason=reason))


def name_of(said: str) -> str:
    """An answer in words."""
    if said == "confirm":
        return "what the model says"
    return "none of the known generators" if said == "none" else said.removeprefix("generator:")
