"""A worker without images and science: what it spends is the queue's and the database's part alone.

    python -m benchmarks.weightless_worker IMAGES

It is the real worker, but its store holds IMAGES numbered files in memory and its attributor gives one real answer,
computed once, for every image. Settings come from the environment, as those of any worker.
"""

import hashlib
import sys
from typing import Any
from unittest.mock import patch

from benchmarks.pictures import distinct_images
from leaktrace.objects import ObjectMissing
from leaktrace.science.attributor import Attributor
from leaktrace.science.images import ImageHeader


def payload(number: int) -> bytes:
    """The content of a numbered file."""
    return b"image %d" % number


class MemoryStore:
    """An object store whose images were always there."""

    def __init__(self, images: int) -> None:
        self._images = {hashlib.sha256(payload(n)).hexdigest(): payload(n) for n in range(images)}
        self._others: dict[str, bytes] = {}

    def get(self, key: str) -> bytes:
        """An image by the hash that ends its key, or what was put there."""
        found = self._images.get(key.rsplit("/", 1)[-1]) or self._others.get(key)
        if found is None:
            raise ObjectMissing(key)
        return found

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        """Keep an object; the worker publishes its density."""
        assert content_type
        self._others[key] = body

    def delete(self, keys: list[str]) -> None:
        """Nothing was staged."""
        assert not [key for key in keys if key in self._others]

    def check(self) -> None:
        """It is always there."""


def weightless(attributor: Attributor) -> Attributor:
    """The attributor with every answer replaced by one that it gave."""
    (picture,) = distinct_images(None, number=1)
    prepared = attributor.prepare(picture)
    (answer,) = attributor.attribute([prepared])
    replaced: Any = attributor
    replaced.prepare = lambda _data, **_limits: prepared
    replaced.attribute = lambda images: [answer] * len(images)
    return attributor


def main(images: int) -> None:
    """Run until SIGTERM."""
    from worker import loaded_models
    from worker.app import app

    load = loaded_models.load_attributor
    store = MemoryStore(images)
    with (
        patch.object(
            loaded_models, "load_attributor", lambda *given, **named: weightless(load(*given, **named))
        ),
        patch("worker.process.connect_store", lambda _settings: store),
        patch("worker.decoding.read_header", lambda _data, **_limits: ImageHeader("PNG", 1, 1)),
    ):
        app.worker_main(["worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
