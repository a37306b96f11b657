"""A listing as pages for a stream: each page is read for itself, so that no transaction lasts as long as the stream.

Knows nothing of what is listed or how it is written.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

READ_TOGETHER = 500

Row = TypeVar("Row")
Position = TypeVar("Position")


def read_pages(
    read: Callable[[int, Position | None], list[Row]],
    position: Callable[[Row], Position],
    *,
    start: Position | None = None,
    most: int | None = None,
    together: int = READ_TOGETHER,
) -> Iterator[list[Row]]:
    """All rows behind `start`, or the first `most` of them; `read` gives at most so many rows behind a position."""
    while most is None or most > 0:
        wanted = min(together, most or together)
        page = read(wanted, start)
        if page:
            yield page
        if len(page) < wanted:
            return
        start = position(page[-1])
        most = None if most is None else most - wanted
