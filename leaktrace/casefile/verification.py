"""Checks a case report from its bytes alone: every entry's hash, what is shown with it, the order, and the end.

Reads line by line, so that a report of any size can be checked. What is changed, left out, added or moved breaks the
chain at the first entry that it touches, and that one is named.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from leaktrace.casefile.chain import ENTRY_START, FIRST, Link, read_link
from leaktrace.casefile.page import closing
from leaktrace.errors import InvalidInput

LONGEST_LINE_BYTES = 16_000_000


class ChainBroken(InvalidInput):
    """The report is not as it was made. `number` is the first entry that does not hold, 0 where there is none."""

    code = "chain_broken"

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"entry {number} does not hold: {why}" if number else why)
        self.number = number


@dataclass(frozen=True)
class Verified:
    """A report whose chain holds."""

    entries: int
    images: int
    final_hash: str


def verify(path: Path) -> Verified:
    """Recompute the whole chain of the file.

    Raises:
        ChainBroken: at the first entry that does not hold. InvalidInput: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _verify(file)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def _verify(file: BinaryIO) -> Verified:
    last: Link | None = None
    visible = hashlib.sha256()
    while line := file.readline(LONGEST_LINE_BYTES):
        if not line.startswith(ENTRY_START):
            visible.update(line)
            continue
        last = _next(line, last, shown=visible.hexdigest())
        visible = hashlib.sha256()
    if last is None:
        raise ChainBroken(0, "this is no case report: it has no entries")
    if last.content.get("type") != "end":
        raise ChainBroken(last.number + 1, "the report ends too early; it was cut off")
    if visible.hexdigest() != hashlib.sha256(closing(last.hash)).hexdigest():
        raise ChainBroken(last.number, "what stands behind the last entry, with the final hash, was changed")
    return Verified(entries=last.number, images=last.number - 2, final_hash=last.hash)


def _next(line: bytes, last: Link | None, *, shown: str) -> Link:
    """The entry on this line, once it is found to follow the last one and to fit what is shown above it."""
    number = last.number + 1 if last else 1
    if last is not None and last.content.get("type") == "end":
        raise ChainBroken(number, "there is more behind the report's end")
    try:
        printed, link = read_link(line)
    except (ValueError, TypeError) as error:
        raise ChainBroken(number, f"it cannot be read ({error})") from error
    if link.number != number:
        raise ChainBroken(number, f"number {link.number} stands in its place; entries are missing or moved")
    if link.before != (last.hash if last else FIRST):
        raise ChainBroken(number, "it does not follow the entry before, which was changed or replaced")
    if printed != link.hash:
        raise ChainBroken(number, "its content was changed")
    if link.shown != shown:
        raise ChainBroken(number, "what is shown of it was changed")
    return link
