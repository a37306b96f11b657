"""Takes files through an attributor in this process: read and decoded by threads, attributed in batches.

One record a file comes back in the order of the files, and only a few batches are ever in memory. A file that cannot
be attributed becomes a record with its reason. Knows nothing of the command line.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaktrace.client.files import SourceFile, UnusableFile, UploadFile
from leaktrace.client.sources import count_images, files_in
from leaktrace.errors import InvalidInput
from leaktrace.science.images import DecodeLimits, ImageRefused

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.preprocessing import PreparedImage

BATCH_IMAGES = 16
DECODING_THREADS = 2
LIMITS = DecodeLimits()


class ManifestUnusable(InvalidInput):
    """A CSV file that was given does not list images."""

    code = "manifest_unusable"


@dataclass(frozen=True)
class Prepared:
    """A file on its way: the name it is reported under, and its crops or what is wrong with it."""

    name: str
    image: "PreparedImage | None" = None
    error: dict[str, str] | None = None


def sources_in(paths: Iterable[Path]) -> Iterator[tuple[str, SourceFile]]:
    """The images of all paths with the name each is reported under: the path as it was given, and what is below.

    A path may also be a manifest, a CSV file whose column `file` lists images relative to it. Raises NoSource at once
    when a path is not there, ManifestUnusable when a CSV file has no such column.
    """
    places = [(path, iter(_listed(path)) if _is_manifest(path) else files_in(path)) for path in paths]
    return ((_name(path, source), source) for path, sources in places for source in sources)


def count_sources(paths: Iterable[Path]) -> int | None:
    """How many images `sources_in` gives, or None when only reading an archive would tell."""
    counts = [len(_listed(path)) if _is_manifest(path) else count_images([path]) for path in paths]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _is_manifest(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def _listed(manifest: Path) -> list[SourceFile]:
    """The files of a manifest, in its order; one that is missing stays in the list with its reason."""
    try:
        with manifest.open(newline="", encoding="utf-8") as lines:
            names = [row["file"] or "" for row in csv.DictReader(lines)]
    except (KeyError, OSError, ValueError, csv.Error) as error:
        raise ManifestUnusable(f"{manifest} is no manifest: a column `file` is needed ({error})") from error
    return [_listed_file(manifest.parent / name, name) for name in names]


def _listed_file(path: Path, name: str) -> SourceFile:
    try:
        return UploadFile.from_path(path, custom_id=name)
    except OSError as error:
        return UnusableFile(name, "unreadable", f"cannot be read: {error.strerror}")


def _name(path: Path, source: SourceFile) -> str:
    if _is_manifest(path):
        return (path.parent / source.custom_id).as_posix()
    inside = path.is_dir() or source.custom_id != path.name
    return f"{path.as_posix()}/{source.custom_id}" if inside else path.as_posix()


def attribution_records(
    attributor: "Attributor", sources: Iterable[tuple[str, SourceFile]], *, batch_images: int = BATCH_IMAGES
) -> Iterator[dict[str, Any]]:
    """One JSON-able record a file, in order: what the model says, or {"file", "error": {"code", "detail"}}."""
    batch: list[Prepared] = []
    for prepared in _prepared_ahead(attributor, sources, count=2 * batch_images):
        batch.append(prepared)
        if len(batch) == batch_images:
            yield from _attributed(attributor, batch)
            batch = []
    yield from _attributed(attributor, batch)


def _prepared_ahead(
    attributor: "Attributor", sources: Iterable[tuple[str, SourceFile]], *, count: int
) -> Iterator[Prepared]:
    """Prepare up to `count` files ahead of the one that is asked for."""
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode") as pool:
        for name, source in sources:
            waiting.append(pool.submit(_prepared, attributor, name, source))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _prepared(attributor: "Attributor", name: str, source: SourceFile) -> Prepared:
    if isinstance(source, UnusableFile):
        return Prepared(name, error={"code": source.code, "detail": source.detail})
    try:
        with source.open() as content:
            # One byte more than is accepted is enough to refuse a file of any size.
            data = content.read(LIMITS.max_bytes + 1)
        return Prepared(name, image=attributor.prepare(data, limits=LIMITS))
    except ImageRefused as refusal:
        return Prepared(name, error={"code": refusal.code, "detail": refusal.detail})
    except OSError as error:
        return Prepared(
            name, error={"code": "unreadable", "detail": f"cannot be read: {error.strerror or error}"}
        )


def _attributed(attributor: "Attributor", batch: list[Prepared]) -> Iterator[dict[str, Any]]:
    answers = iter(attributor.attribute([prepared.image for prepared in batch if prepared.image is not None]))
    for prepared in batch:
        if prepared.image is None:
            yield {"file": prepared.name, "error": prepared.error}
            continue
        header = prepared.image.header
        facts = {"format": header.format, "width": header.width, "height": header.height}
        yield {
            "file": prepared.name,
            **next(answers).to_dict(),
            "image": facts | {"sha256": prepared.image.sha256},
            "model_version": attributor.version,
            "density_version": attributor.density_version,
        }
