"""Takes files through an attributor in this process: read and decoded by threads, attributed in batches.

One record a file comes back in the order of the files, and only a few batches are ever in memory. A file that cannot
be attributed becomes a record with its reason. Knows nothing of the command line.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaktrace.client.files import SourceFile, UnusableFile
from leaktrace.client.sources import files_in
from leaktrace.science.images import DecodeLimits, ImageRefused

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.preprocessing import PreparedImage

BATCH_IMAGES = 16
DECODING_THREADS = 2
LIMITS = DecodeLimits()


@dataclass(frozen=True)
class Prepared:
    """A file on its way: the name it is reported under, and its crops or what is wrong with it."""

    name: str
    image: "PreparedImage | None" = None
    error: dict[str, str] | None = None


def sources_in(paths: Iterable[Path]) -> Iterator[tuple[str, SourceFile]]:
    """The images of all paths with the name each is reported under: the path as it was given, and what is below.

    Raises NoSource at once when a path is not there.
    """
    places = [(path, files_in(path)) for path in paths]
    return ((_name(path, source), source) for path, sources in places for source in sources)


def _name(path: Path, source: SourceFile) -> str:
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
