"""The hash chain of a case report: each entry names the hash before it and the hash of what is shown with it.

An entry's hash is the SHA-256 of its canonical JSON (keys sorted, no spaces, UTF-8), which holds `before`, `content`,
`number` and `shown`. So nothing that is said or shown can change without its entry and all later ones changing too.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

FIRST = "0" * 64  # what stands before the first entry


@dataclass(frozen=True)
class Link:
    """One entry: its number from 1 on, its content, the hash of the bytes that are shown, and the hash before."""

    number: int
    content: dict[str, Any]
    shown: str
    before: str

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def canonical(self) -> str:
        """The one way to write this entry."""
        return json.dumps(
            vars(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )

    def markup(self) -> bytes:
        """The entry as a line of HTML that no browser shows or runs."""
        text = self.canonical.replace("<", "\\u003c")  # so that no text of a client can end the element
        return f'<script type="application/json" data-entry="{self.hash}">{text}</script>\n'.encode()


ENTRY_START = b'<script type="application/json" data-entry="'
ENTRY_END = b"</script>\n"


def read_link(line: bytes) -> tuple[str, Link]:
    """The printed hash and the entry of a line that `markup` wrote. Raises ValueError when it is none."""
    if not line.startswith(ENTRY_START) or not line.endswith(ENTRY_END):
        raise ValueError("the line is no entry")
    printed, _, text = line[len(ENTRY_START) : -len(ENTRY_END)].decode().partition('">')
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.keys() != Link.__dataclass_fields__.keys():
        raise ValueError("the entry does not have the fields of one")
    if not isinstance(fields["content"], dict):
        raise ValueError("the entry has no content")
    return printed, Link(**fields)
