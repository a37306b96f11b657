"""The console's session as requests carry it: the cookie, who it belongs to, and the two defences against forgery.

A request that changes something must come from our own pages: its Origin must be ours, and it must bring the token
that only they can read. The token is derived from the cookie, so that nothing more is kept. Pages and /v1 use the
same.
"""

import hashlib
import hmac
from datetime import timedelta
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from api.dependencies import Services
from api.errors import ForgedRequest
from leaktrace.records.console_sessions import Lifetime, Visitor, find_visitor
from leaktrace.records.database import transaction

COOKIE = "leaktrace_session"
SECURE_COOKIE = "__Host-leaktrace_session"  # browsers hold it to https, this host and all its paths
TOKEN_HEADER = "x-csrf-token"  # noqa: S105 - a name, not a secret
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def lifetime_of(services: Services) -> Lifetime:
    """How long sessions last here."""
    settings = services.settings
    return Lifetime(
        timedelta(minutes=settings.console_idle_minutes), timedelta(hours=settings.console_session_hours)
    )


def session_token(request: Request, services: Services) -> str | None:
    """The cookie of the kind that fits how the console is reached."""
    return request.cookies.get(_cookie_name(request, services))


def find_signed_in(request: Request, services: Services) -> Visitor | None:
    """Who is signed in, if the cookie says so."""
    token = session_token(request, services)
    if token is None:
        return None
    with transaction(services.engine) as session:
        return find_visitor(session, token, lifetime=lifetime_of(services))


def set_session(response: Response, token: str, *, request: Request, services: Services) -> None:
    """Give the browser the cookie; it ends with the browser or with the session, whichever is sooner."""
    response.set_cookie(
        _cookie_name(request, services),
        token,
        secure=_is_secure(request, services),
        httponly=True,
        samesite="lax",
        path="/",
    )


def clear_session(response: Response, *, request: Request, services: Services) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        _cookie_name(request, services), secure=_is_secure(request, services), httponly=True, samesite="lax"
    )


def forgery_token(request: Request, services: Services) -> str:
    """The token of this session that changing requests must bring; empty when nobody is signed in."""
    token = session_token(request, services)
    return _derive(token) if token else ""


def check_origin(request: Request, services: Services) -> None:
    """Raise `ForgedRequest` unless the browser says that one of our own pages sent this."""
    origin = request.headers.get("origin")
    if origin is None:
        # Browsers that leave out Origin on a form's POST say where it came from in this one.
        if request.headers.get("sec-fetch-site") == "same-origin":
            return
        raise ForgedRequest
    public = services.settings.console_url
    expected = urlsplit(public).netloc if public else request.headers.get("host", "")
    if not expected or urlsplit(origin).netloc != expected:
        raise ForgedRequest


def check_forgery(request: Request, services: Services, *, presented: str | None) -> None:
    """Raise `ForgedRequest` unless a changing request has our Origin and the session's token."""
    if request.method in SAFE_METHODS:
        return
    check_origin(request, services)
    expected = forgery_token(request, services)
    if not expected or not hmac.compare_digest(expected.encode(), (presented or "").encode()):
        raise ForgedRequest


def _cookie_name(request: Request, services: Services) -> str:
    return SECURE_COOKIE if _is_secure(request, services) else COOKIE


def _is_secure(request: Request, services: Services) -> bool:
    public = services.settings.console_url
    return (urlsplit(public).scheme if public else request.url.scheme) == "https"


def _derive(token: str) -> str:
    return hmac.new(token.encode(), b"leaktrace console forgery token", hashlib.sha256).hexdigest()
