"""What browsers are told to refuse on every page of the console, and the page for a fault that nobody expected.

A plain ASGI layer around the whole console, so that errors and streams carry the same headers. Scripts, styles and
fonts come from our own files alone; nothing inline, no frames, no plug-ins, and no other host but the object store, to
which pages upload.
"""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.console.failures import unexpected_page
from leaktrace.logs import get_logger

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob:; "
    "connect-src 'self' {store}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

log = get_logger(__name__)


class BrowserProtection:
    """Adds the headers to every answer that has none of its own; caches keep only what says that they may."""

    def __init__(self, app: ASGIApp, *, store_origin: str) -> None:
        self._app = app
        self._headers = {**HEADERS, "Content-Security-Policy": POLICY.format(store=store_origin)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def send_protected(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_protected)
        except Exception as error:
            if answering:
                raise
            log.error("page_failed", exc_info=error)
            await unexpected_page(Request(scope))(scope, receive, send_protected)
