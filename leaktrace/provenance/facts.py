"""What is known of a file's provenance, in a form that can be sent and shown. All text is the file's own: bounded, and
without control characters, but never to be believed or taken for markup.
"""

from typing import Literal

from pydantic import BaseModel, Field

MAX_TEXT_CHARACTERS = 400
MAX_ENTRIES = 40


class Entry(BaseModel):
    """A name and what the file says under it."""

    name: str
    value: str


class Exif(BaseModel):
    """The camera's or program's own notes."""

    state: Literal["present", "absent", "unreadable"]
    entries: list[Entry] = []
    has_position: bool = Field(False, description="It says where it was taken; the place itself is left out.")


class Credentials(BaseModel):
    """C2PA Content Credentials: a signed statement of how the file came about.

    `valid` says that the signature and the file's hash hold, not that its words are true; `present` that the file only
    names another address for it, which is not asked; `unreadable` that the file could not be examined.
    """

    state: Literal["valid", "invalid", "present", "absent", "unreadable"]
    signer: str | None = None
    organisation: str | None = None
    is_signer_trusted: bool | None = Field(None, description="The signer is on a trust list of the reader.")
    signed_at: str | None = None
    made_with: list[str] = Field([], description="The programs that the statement names.")
    actions: list[str] = Field([], description="What was done, in order.")
    source_types: list[str] = Field([], description="IPTC digital source types, as trainedAlgorithmicMedia.")
    problems: list[str] = Field([], description="What failed its validation.")


class Provenance(BaseModel):
    """All of one file. It is not evidence that the model weighs; metadata is easily removed and made up."""

    exif: Exif
    texts: list[Entry] = Field([], description="Text chunks, as generators write their prompts into.")
    credentials: Credentials


def unreadable() -> Provenance:
    """Of a file that could not be examined within the limits."""
    return Provenance(exif=Exif(state="unreadable"), credentials=Credentials(state="unreadable"))


def told(value: object) -> str:
    """Anything as one bounded line of printable text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = "".join(each if each.isprintable() else " " for each in str(value)[: 4 * MAX_TEXT_CHARACTERS])
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]}…"
