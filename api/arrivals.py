"""One file that arrives with a request, and what can be said against it before anything is stored.

Nothing that the client says is believed but the custom_id: the format is told by the first bytes and the hash is
computed. Knows nothing of the store or the records.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from api.multipart import PartBegin
from api.schemas import MAX_CUSTOM_ID_CHARACTERS, MAX_FILE_NAME_CHARACTERS, PRINTABLE, FileAnswer, Refusal
from api.spool import Spool
from leaktrace.records.items import Offer, Outcome
from leaktrace.science.containers import sniff_format


@dataclass
class Arrival:
    """A file that is arriving or has arrived; `outcome` or `refusal` is set in the end."""

    part: PartBegin
    spool: Spool
    refusal: Refusal | None = None
    storing: "asyncio.Task[None] | None" = None
    outcome: Outcome | None = None

    @property
    def custom_id(self) -> str:
        """The header `X-Custom-Id`, or else the file name."""
        return self.part.custom_id or self.part.file_name or ""

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are in the store and only have to be recorded."""
        return self.storing is not None and self.storing.done() and self.storing.exception() is None

    def offer(self) -> Offer:
        """What the records are told of it."""
        return Offer(
            custom_id=self.custom_id,
            file_name=self.part.file_name,
            sha256=self.spool.sha256,
            size_bytes=self.spool.size_bytes,
        )

    def judge(self, *, max_bytes: int) -> None:
        """Set the refusal of a complete file that cannot be taken."""
        for code, detail in self._faults(max_bytes):
            self.refusal = Refusal(code=code, detail=detail)
            return

    def answer(self) -> FileAnswer:
        """What the client is told of it."""
        outcome = self.outcome or Outcome("refused")
        refusal = self.refusal
        if outcome.code is not None:
            refusal = Refusal(code=outcome.code, detail=outcome.detail or "")
        return FileAnswer(
            custom_id=None if _text_fault(self.custom_id, MAX_CUSTOM_ID_CHARACTERS) else self.custom_id,
            status=outcome.status,
            item_id=outcome.item_id,
            sha256=self.spool.sha256,
            size_bytes=self.spool.size_bytes,
            error=refusal,
        )

    def _faults(self, max_bytes: int) -> Iterator[tuple[str, str]]:
        if fault := _text_fault(self.custom_id, MAX_CUSTOM_ID_CHARACTERS):
            yield "invalid_custom_id", f"the custom_id {fault}"
        if fault := _text_fault(self.part.file_name or "", MAX_FILE_NAME_CHARACTERS):
            yield "invalid_file_name", f"the file name {fault}"
        if self.spool.size_bytes == 0:
            yield "empty", "the file has no bytes"
        if self.spool.is_over_limit:
            yield "too_many_bytes", f"the file has {self.spool.size_bytes:,} bytes; {max_bytes:,} are allowed"
        if sniff_format(self.spool.head) is None:
            yield (
                "unsupported_format",
                "the first bytes are not those of JPEG, PNG, WebP, AVIF, HEIF, TIFF or GIF",
            )
        expected = self.part.headers.get("x-sha256", self.spool.sha256)
        if expected.lower() != self.spool.sha256:
            yield "checksum_mismatch", f"the bytes have the SHA-256 {self.spool.sha256}, not {expected[:80]}"


def _text_fault(text: str, max_characters: int) -> str | None:
    if len(text) > max_characters:
        return f"has {len(text)} characters; {max_characters} are allowed"
    if not re.fullmatch(PRINTABLE, text) or text.endswith("\n"):
        return "has control characters"
    return None
