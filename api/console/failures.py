"""Refusals and faults as pages: what happened, what to do, and the request's id; for scripts, a problem as in the
API.

Whoever is not signed in is sent to the sign-in page and back. A script that asks for part of a page is told by
status.
"""

from contextlib import suppress
from http import HTTPStatus
from typing import cast
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from api.console.pages import render
from api.errors import Unauthenticated, request_id_of, status_of, told
from api.sessions import find_signed_in
from leaktrace.errors import LeaktraceError, Unavailable

TITLES = {
    403: "This is not yours to do",
    404: "There is nothing here",
    409: "That does not fit what is recorded",
    422: "That cannot be used",
    503: "A server is away",
}
ADVICE = {
    403: "Ask an admin for another role if you need this.",
    404: "It may have been deleted, or it belongs to another tenant.",
    503: "Nothing was changed. Try again in a moment.",
}


async def answer_ours(request: Request, raised: Exception) -> Response:
    """One of our own errors."""
    error = cast(LeaktraceError, raised)
    if isinstance(error, Unauthenticated):
        return _sign_in_first(request)
    return failure_page(request, status_of(error), detail=told(error))


async def answer_invalid(request: Request, raised: Exception) -> Response:
    """A parameter or field that failed its validation."""
    error = cast(RequestValidationError, raised)
    # An id that is none leads nowhere; for whoever follows a link that is the whole story.
    if all(part["loc"][0] == "path" for part in error.errors()):
        return failure_page(request, 404, detail="The address names nothing that could exist.")
    detail = "; ".join(f"{part['loc'][-1]}: {part['msg']}" for part in error.errors()[:3])
    return failure_page(request, 422, detail=detail)


async def answer_framework(request: Request, raised: Exception) -> Response:
    """What the framework itself refuses."""
    error = cast(HTTPException, raised)
    await _recognise(request)
    return failure_page(request, error.status_code, detail=HTTPStatus(error.status_code).description)


def unexpected_page(request: Request) -> Response:
    """A fault of ours; it says no more than its id."""
    return failure_page(
        request, 500, detail="Something failed on our side. Quote the request's id when you report it."
    )


def failure_page(request: Request, status: int, *, detail: str) -> Response:
    """The page of one refusal."""
    return render(
        request,
        "failure.html",
        status=status,
        title=TITLES.get(status, HTTPStatus(status).phrase),
        status_code=status,
        detail=detail,
        advice=ADVICE.get(status, ""),
        request_id=request_id_of(request),
    )


async def _recognise(request: Request) -> None:
    """Keep the frame of a page around a wrong address for whoever is signed in."""
    with suppress(Unavailable):
        request.state.visitor = await run_in_threadpool(find_signed_in, request, request.app.state.services)


def _sign_in_first(request: Request) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/console/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/console/sign-in", 303)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/console/sign-in?next={quote(wanted, safe='')}", 303)
