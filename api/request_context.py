"""What surrounds every request: its id, one log line, its metrics, and the answer to what nobody expected.

The outermost layer of the app, in plain ASGI so that streams pass through it untouched. A sane `X-Request-Id` is
kept, any other replaced; the id is on the answer, in every problem and on every log line.
"""

import re
import time
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from api.metrics import Metrics
from leaktrace.logs import bind_context, get_logger

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_GONE = 499  # what proxies log when a client went away before the answer
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})

log = get_logger(__name__)


class RequestContext:
    """Wraps the whole app."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        with bind_context(request_id=exchange.request_id):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except ClientDisconnect:
                exchange.status = CLIENT_GONE
            except Exception as error:
                await exchange.answer_unexpected(error)
            finally:
                self._note(exchange)

    def _note(self, exchange: "_Exchange") -> None:
        scope, seconds = exchange.scope, time.perf_counter() - exchange.began_at
        matched = getattr(scope.get("route"), "path", None)
        # The console is an app of its own below its path, and names its routes from there.
        route = scope.get("root_path", "") + matched if matched is not None else "unmatched"
        self._metrics.count(
            method=scope["method"],
            route=route,
            status=exchange.status,
            seconds=seconds,
            bytes_in=exchange.bytes_in,
        )
        fields: dict[str, Any] = {"method": scope["method"], "route": route, "status": exchange.status}
        if "batch_id" in scope.get("path_params", {}):
            fields["batch_id"] = str(scope["path_params"]["batch_id"])
        level = "debug" if route in QUIET_ROUTES else "info"
        getattr(log, level)("request_served", **fields, milliseconds=round(seconds * 1000, 1))


class _Exchange:
    """One request and its answer, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        self.began_at = time.perf_counter()
        self.status = 500
        self.bytes_in = 0
        self._answering = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._answering = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
        await self._send(message)

    async def answer_unexpected(self, error: Exception) -> None:
        """Log a fault of ours and say no more than that; an answer that has begun is broken off, which shows."""
        log.error("request_failed", exc_info=error)
        if self._answering:
            raise error
        response = problem_response(
            500,
            code="internal_error",
            detail="something failed on our side; quote the request_id when you report it",
            request_id=self.request_id,
        )
        await response(self.scope, self._receive, self.send)


def _request_id(given: str) -> str:
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid4().hex
