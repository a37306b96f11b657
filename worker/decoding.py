"""Decoding many images at once without decoding many large ones at once, and a thumbnail of each.

Memory goes with pixels, and the header tells how many there will be before any is decoded: the images in work together
have at most as many pixels as the largest single image that is accepted. Knows nothing of shards or stores.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaktrace.logs import get_logger
from leaktrace.science.images import DecodedImage, DecodeLimits, read_header
from worker.thumbnails import draw_thumbnail

if TYPE_CHECKING:
    from leaktrace.science.preprocessing import PreparedImage

Prepare = Callable[..., "PreparedImage"]

log = get_logger(__name__)


@dataclass(frozen=True)
class Decoded:
    """What the model needs of an image, and what people look at; no thumbnail when it could not be drawn."""

    prepared: "PreparedImage"
    thumbnail: bytes | None


class PixelBudget:
    """So many pixels may be in work at once; whoever finds no room waits."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for room and keep it during the block. `pixels` must not exceed the whole budget."""
        with self._changed:
            self._changed.wait_for(lambda: pixels <= self._free)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


class FrugalDecoder:
    """An attributor's `prepare` within limits and a budget; may be called from many threads."""

    def __init__(self, prepare: Prepare, limits: DecodeLimits) -> None:
        self._prepare = prepare
        self._limits = limits
        self._budget = PixelBudget(limits.max_pixels)

    def __call__(self, data: bytes) -> Decoded:
        """The prepared image; raises `ImageRefused` when it is bad, at once when the header shows it."""
        header = read_header(data, limits=self._limits)
        drawn: list[bytes] = []
        with self._budget.hold(header.width * header.height):
            prepared = self._prepare(
                data, limits=self._limits, show=lambda image: drawn.extend(_draw_or_not(image))
            )
        return Decoded(prepared, drawn[0] if drawn else None)


def _draw_or_not(image: DecodedImage) -> list[bytes]:
    """The thumbnail, or nothing: an image is attributed whether it has one or not."""
    try:
        return [draw_thumbnail(image)]
    except Exception:
        log.exception("thumbnail_not_drawn", sha256=image.sha256)
        return []
