"""The limits that protect the service: bodies, the backlog, and how quotas are told.

The body limit is a plain ASGI layer, so that it also stops a body that announces no length. Uploads have limits of
their own (a file, a request), so their route is exempt.
"""

import re
import time
from collections.abc import Callable
from threading import Lock

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaktrace.records.usage import WINDOW_SECONDS, Quota

UPLOAD_PATH = re.compile(r"/v1/batches/[^/]+/images")
BACKLOG_GOOD_FOR_SECONDS = 2.0


class Backlog:
    """The number of waiting images, counted at most once every few seconds however often it is asked for."""

    def __init__(
        self, count: Callable[[], int], *, good_for_seconds: float = BACKLOG_GOOD_FOR_SECONDS
    ) -> None:
        self._count = count
        self._good_for_seconds = good_for_seconds
        self._lock = Lock()
        self._counted_at = float("-inf")
        self._images = 0

    def images(self) -> int:
        """Images queued or being attributed, of all tenants."""
        with self._lock:
            if time.monotonic() - self._counted_at > self._good_for_seconds:
                self._images = self._count()
                self._counted_at = time.monotonic()
            return self._images


class BodyLimit:
    """Refuses bodies over `max_bytes` on every route that is not an upload."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the route reads, and stop it when that becomes too much."""
        if scope["type"] != "http" or UPLOAD_PATH.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes or (announced.isdigit() and int(announced) > self._max_bytes):
                raise HTTPException(413)
            return message

        await self._app(scope, receive_counted, send)


def quota_headers(quota: Quota) -> dict[str, str]:
    """What is left of the daily quota, in the fields of the IETF's RateLimit draft."""
    return {
        "RateLimit-Policy": f'"images";q={quota.limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"images";r={quota.remaining};t={quota.resets_in_seconds}',
    }
