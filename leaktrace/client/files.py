"""Files to upload, and how they are cut into requests.

A file is described, not opened: it is read piece by piece when its request is sent, and again when that is repeated.
Knows nothing of folders, archives (see `sources`) or HTTP.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

CHUNK_BYTES = 1 << 20
GROUP_FILES = 32
GROUP_BYTES = 16 * (1 << 20)
CUSTOM_ID_CHARACTERS = 256


@dataclass(frozen=True)
class UploadFile:
    """One file: the id under which its result comes back, its name, its size, and how to open it (repeatedly)."""

    custom_id: str
    file_name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]

    @classmethod
    def from_path(cls, path: Path, *, custom_id: str | None = None) -> "UploadFile":
        """A file on disk; `custom_id` defaults to its name. Raises OSError when it is not there."""
        return cls(custom_id or path.name, path.name, path.stat().st_size, lambda: path.open("rb"))

    @classmethod
    def from_bytes(cls, data: bytes, *, custom_id: str) -> "UploadFile":
        """A file in memory."""
        return cls(custom_id, custom_id.rsplit("/", 1)[-1], len(data), lambda: BytesIO(data))

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the content, read piece by piece."""
        digest = hashlib.sha256()
        with self.open() as content:
            while chunk := content.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True)
class UnusableFile:
    """A file that cannot be sent: a stable code, and what is wrong with it."""

    custom_id: str
    code: str
    detail: str


SourceFile = UploadFile | UnusableFile


def check_custom_id(custom_id: str) -> str | None:
    """What is wrong with a custom id, or None: it travels in a header, so it holds no control characters."""
    if not custom_id or len(custom_id) > CUSTOM_ID_CHARACTERS:
        return f"a custom id has 1 to {CUSTOM_ID_CHARACTERS} characters, not {len(custom_id)}"
    if any(unicodedata.category(character) == "Cc" for character in custom_id):
        return "the name holds control characters; rename the file"
    if custom_id != custom_id.strip():
        return "the name begins or ends with white space; rename the file"
    try:
        custom_id.encode()
    except UnicodeEncodeError:
        return "the name is not valid Unicode; rename the file"
    return None


def group_files(
    files: Iterable[UploadFile], *, max_files: int = GROUP_FILES, max_bytes: int = GROUP_BYTES
) -> Iterator[list[UploadFile]]:
    """Cut into groups of at most `max_files` and `max_bytes`, in order; a larger file goes alone."""
    group: list[UploadFile] = []
    group_bytes = 0
    for file in files:
        if group and (len(group) >= max_files or group_bytes + file.size_bytes > max_bytes):
            yield group
            group, group_bytes = [], 0
        group.append(file)
        group_bytes += file.size_bytes
    if group:
        yield group
