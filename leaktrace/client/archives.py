"""Reads the files inside zip and tar archives without unpacking them to disk.

Members are read one at a time, each up to a limit, and an archive that unpacks to far more than its own size is given
up as a bomb. Names that point outside the archive are reported, never followed; links and devices are passed over.
"""

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from leaktrace.client.files import SourceFile, UnusableFile, UploadFile
from leaktrace.errors import InvalidInput

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
UNSUPPORTED_ENDINGS = (".7z", ".rar", ".tar.zst")
HEADER_TYPES = frozenset(
    b"xgXLK"
)  # headers of tar whose content is read whole: long names, extended attributes
# What the readers of the standard library raise on damaged or unknown input; encrypted members are RuntimeErrors.
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, OverflowError, RuntimeError, ValueError),
)


class ArchiveRefused(InvalidInput):
    """The archive cannot be read, or unpacks to more than the limits allow."""

    code = "archive_refused"


@dataclass(frozen=True)
class ArchiveLimits:
    """How much is unpacked from one archive: bytes a member, and in total as a multiple of the archive's size."""

    member_bytes: int = 64_000_000
    expansion: float = 50.0  # images hardly shrink; text and zeros do
    free_bytes: int = 256_000_000  # unpacked in any case, so that small archives of flat pictures pass
    header_bytes: int = 1_000_000
    members: int = 1_000_000


class _Budget:
    """Counts what an archive has unpacked to so far."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._path = path
        self._limits = limits
        self._bytes_left = limits.free_bytes + limits.expansion * path.stat().st_size
        self._members_left = limits.members

    def spend(self, member_bytes: int) -> None:
        """Count one member; raises ArchiveRefused when that is more than the limits allow."""
        self._bytes_left -= member_bytes
        self._members_left -= 1
        if self._bytes_left < 0 or self._members_left < 0:
            raise ArchiveRefused(
                f"{self._path} unpacks to more than {self._limits.expansion:g} times its size or has more than "
                f"{self._limits.members:,} members; unpack it yourself and submit the folder"
            )


def is_archive(path: Path) -> bool:
    """Whether the file is to be read as an archive, by its ending. Raises ArchiveRefused for kinds we cannot read."""
    name = path.name.lower()
    if name.endswith(UNSUPPORTED_ENDINGS):
        raise ArchiveRefused(f"{path} is of a kind that is not read; unpack it, or pack it as zip or tar")
    return name.endswith((".zip", *TAR_ENDINGS))


def archive_files(path: Path, *, limits: ArchiveLimits | None = None) -> Iterator[SourceFile]:
    """All regular files inside, in the archive's order; what cannot be used comes as an `UnusableFile`.

    Raises:
        ArchiveRefused: the archive is broken, or unpacks to more than the limits allow.
    """
    read = _zip_files if path.name.lower().endswith(".zip") else _tar_files
    chosen = limits or ArchiveLimits()
    try:
        yield from read(path, chosen, budget=_Budget(path, chosen))
    except BROKEN as error:
        raise ArchiveRefused(
            f"{path} cannot be read as an archive ({error}); check that it is whole"
        ) from error


@dataclass(frozen=True)
class _Member:
    """A regular file inside, and how its content is unpacked, once."""

    name: str
    size_bytes: int
    unpack: Callable[[], IO[bytes] | None]
    encrypted: bool = False


def _zip_files(path: Path, limits: ArchiveLimits, *, budget: _Budget) -> Iterator[SourceFile]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                encrypted = bool(entry.flag_bits & 1)
                member = _Member(entry.filename, entry.file_size, partial(archive.open, entry), encrypted)
                yield _read(member, limits, budget=budget)


def _tar_files(path: Path, limits: ArchiveLimits, *, budget: _Budget) -> Iterator[SourceFile]:
    header_type = _bounded_headers(limits)
    # A stream: nothing is sought, so a compressed archive is unpacked once, and only a block of it is in memory.
    with tarfile.open(path, "r|*", tarinfo=header_type) as archive:
        for entry in archive:
            if entry.isreg():
                member = _Member(entry.name, entry.size, partial(archive.extractfile, entry))
                yield _read(member, limits, budget=budget)
            archive.members = []  # type: ignore[attr-defined]  # or it would keep every header it has seen


def _bounded_headers(limits: ArchiveLimits) -> type[tarfile.TarInfo]:
    class BoundedTarInfo(tarfile.TarInfo):
        """Refuses special headers that would be read into memory whole and are larger than any honest one."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "BoundedTarInfo":
            header = super().frombuf(buf, encoding, errors)
            if header.type[0] in HEADER_TYPES and header.size > limits.header_bytes:
                raise ArchiveRefused(f"the archive has a header of {header.size:,} bytes; pack it anew")
            return header

    return BoundedTarInfo


def _read(member: _Member, limits: ArchiveLimits, *, budget: _Budget) -> SourceFile:
    """The member's content in memory, or why it is not to be had."""
    budget.spend(member.size_bytes)
    if not _is_inside(member.name):
        return UnusableFile(member.name, "unsafe_path", "the name points outside the archive")
    if member.encrypted:
        return UnusableFile(member.name, "encrypted", "the file is encrypted; unpack the archive first")
    if member.size_bytes > limits.member_bytes:
        detail = f"has {member.size_bytes:,} bytes; at most {limits.member_bytes:,} are accepted"
        return UnusableFile(member.name, "too_many_bytes", detail)
    try:
        with member.unpack() or BytesIO() as content:
            data = content.read(limits.member_bytes + 1)
    except BROKEN as error:
        return UnusableFile(member.name, "unreadable", f"cannot be unpacked: {error}")
    return UploadFile.from_bytes(data, custom_id=str(PurePosixPath(member.name)))


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and not name.startswith(("/", "\\")) and ".." not in parts and ":" not in parts[0]
