"""Decoding many images at once without decoding many large ones at once.

Memory goes with pixels, and the header tells how many there will be before any is decoded: the images in work together
have at most as many pixels as the largest single image that is accepted. Knows nothing of shards or stores.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from leaktrace.science.images import DecodeLimits, read_header

if TYPE_CHECKING:
    from leaktrace.science.preprocessing import PreparedImage

Prepare = Callable[..., "PreparedImage"]


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

    def __call__(self, data: bytes) -> "PreparedImage":
        """The prepared image; raises `ImageRefused` when it is bad, at once when the header shows it."""
        header = read_header(data, limits=self._limits)
        with self._budget.hold(header.width * header.height):
            return self._prepare(data, limits=self._limits)
