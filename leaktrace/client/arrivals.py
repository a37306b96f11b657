"""What of an upload has arrived, asked of the service itself: a journal on this side could not know it.

A request that broke off may have brought some of its files. Each arrived file is remembered by 16 bytes, so a batch of
100,000 takes about 10 MB.
"""

import hashlib
from collections.abc import Iterable

from leaktrace.client.answers import Result, read_answer
from leaktrace.client.flows import Flow, Request, Sender
from leaktrace.client.methods import given
from leaktrace.client.transport import json_of

PAGE_ITEMS = 1000
DIGEST_BYTES = 16


class Arrived:
    """The files of a batch whose bytes the service has, by custom id and content."""

    def __init__(self, files: Iterable[tuple[str, str]] = ()) -> None:
        self._known = {_digest(custom_id, sha256) for custom_id, sha256 in files}

    def __len__(self) -> int:
        return len(self._known)

    def holds(self, custom_id: str, sha256: str) -> bool:
        """Whether the batch has this content under this id."""
        return _digest(custom_id, sha256) in self._known

    def add(self, custom_id: str, sha256: str) -> None:
        """Note a file that arrived."""
        self._known.add(_digest(custom_id, sha256))


def find_arrived(sender: Sender, batch_id: str) -> Flow[Arrived]:
    """Ask the service, page by page. What was only announced has no image yet, and counts as missing."""
    arrived, cursor = Arrived(), None
    while True:
        params = given(limit=PAGE_ITEMS, cursor=cursor)
        path = f"/v1/batches/{batch_id}/results"
        page = json_of((yield from sender.exchange(Request(method="GET", path=path, params=params))))
        for item in (read_answer(Result, entry) for entry in page.get("data", [])):
            if item.image is not None:
                arrived.add(item.custom_id, item.image.sha256)
        cursor = page.get("next_cursor")
        if cursor is None:
            return arrived


def _digest(custom_id: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{sha256}/{custom_id}".encode(), digest_size=DIGEST_BYTES).digest()
