"""Finds the files to submit in folders, archives and single files; custom ids are relative paths.

A file counts as an image when its extension says so (so that a broken one is reported rather than overlooked) or its
first bytes do. Hidden files, other files and links to folders are passed over. Nothing is written to disk.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from leaktrace.client.archives import ArchiveLimits, archive_files, is_archive
from leaktrace.client.files import SourceFile, UnusableFile, UploadFile
from leaktrace.errors import InvalidInput
from leaktrace.science.containers import sniff_format

SNIFFED_BYTES = 64
IMAGE_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png"}
    | {".tif", ".tiff", ".webp"}
)


class NoSource(InvalidInput):
    """A path that was to be submitted is not there, or is neither a folder, an archive nor a file."""

    code = "no_source"


def files_in(path: Path, *, limits: ArchiveLimits | None = None) -> Iterator[SourceFile]:
    """The images in a folder (with all below it) or an archive, or the one file; in a fixed order.

    Raises:
        NoSource: there is nothing there. ArchiveRefused: the archive cannot be read or unpacks to too much.
    """
    if path.is_dir():
        return _folder_files(path)
    if not path.is_file():
        raise NoSource(f"{path} is not there, or is no file or folder; give a folder, an archive or an image")
    if is_archive(path):
        return (file for file in archive_files(path, limits=limits) if _looks_like_image(file))
    return iter([_file_on_disk(path, path.name)])


def files_in_all(paths: Iterable[Path], *, limits: ArchiveLimits | None = None) -> Iterator[SourceFile]:
    """The images in several places; with more than one, the custom ids begin with the name of each place.

    Raises:
        NoSource: see `files_in`; also when two places have the same name, since ids would collide.
    """
    places = list(paths)
    found = [files_in(place, limits=limits) for place in places]
    if len(places) == 1:
        return found[0]
    names = [place.resolve().name for place in places]
    for name in names:
        if names.count(name) > 1:
            raise NoSource(
                f"two of the places are named {name!r}; submit them one by one or from their parent"
            )
    prefixes = [f"{name}/" if _holds_many(place) else "" for name, place in zip(names, places, strict=True)]
    return (_prefixed(file, prefix) for files, prefix in zip(found, prefixes, strict=True) for file in files)


def count_images(paths: Iterable[Path]) -> int | None:
    """How many files `files_in_all` will give, or None when only reading an archive would tell."""
    total = 0
    for path in paths:
        if path.is_dir():
            total += sum(1 for _ in _folder_files(path))
        elif is_archive(path):
            return None
        else:
            total += 1
    return total


def _holds_many(place: Path) -> bool:
    return place.is_dir() or is_archive(place)


def _folder_files(folder: Path) -> Iterator[SourceFile]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or not _is_regular(path):
                continue
            if path.suffix.lower() in IMAGE_EXTENSIONS or _begins_like_image(path):
                yield _file_on_disk(path, path.relative_to(folder).as_posix())


def _file_on_disk(path: Path, custom_id: str) -> SourceFile:
    try:
        return UploadFile.from_path(path, custom_id=custom_id)
    except OSError as error:
        return UnusableFile(custom_id, "unreadable", f"cannot be read: {error.strerror}")


def _is_regular(path: Path) -> bool:
    """A link that leads nowhere is kept too, so that it is reported; pipes and devices would block."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return path.suffix.lower() in IMAGE_EXTENSIONS


def _begins_like_image(path: Path) -> bool:
    try:
        with path.open("rb") as content:
            return sniff_format(content.read(SNIFFED_BYTES)) is not None
    except OSError:
        return False


def _looks_like_image(file: SourceFile) -> bool:
    parts = file.custom_id.replace("\\", "/").split("/")
    if parts[0] == "__MACOSX" or any(part.startswith(".") and part not in (".", "..") for part in parts):
        return False
    if Path(parts[-1]).suffix.lower() in IMAGE_EXTENSIONS:
        return True
    if isinstance(file, UnusableFile):
        return False
    with file.open() as content:
        return sniff_format(content.read(SNIFFED_BYTES)) is not None


def _prefixed(file: SourceFile, prefix: str) -> SourceFile:
    if isinstance(file, UnusableFile):
        return UnusableFile(prefix + file.custom_id, file.code, file.detail)
    return UploadFile(prefix + file.custom_id, file.file_name, file.size_bytes, file.open)
