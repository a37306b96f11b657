"""Signing in with a name and password or an API key, and out again.

Every failure takes as long and says the same. A sign-in always begins a new session and ends the one before, so that
a session that was planted is worth nothing. Attempts are counted before they are judged.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from api.console.pages import render
from api.console.visitors import presented_token
from api.dependencies import GivenServices, Services
from api.sessions import (
    check_forgery,
    check_origin,
    clear_session,
    find_signed_in,
    lifetime_of,
    session_token,
    set_session,
)
from leaktrace.logs import get_logger
from leaktrace.passwords import verify_password
from leaktrace.records.console_models import Operator
from leaktrace.records.console_sessions import begin_attempt, begin_session, end_session, forget_attempts
from leaktrace.records.database import transaction
from leaktrace.records.keys import PRESENTED_KEY, find_key
from leaktrace.records.models import ApiKey
from leaktrace.records.operators import find_operator, note_sign_in

START = "/console/batches"
WRONG = (
    "That did not work. Check what you typed; after several failures in a row you have to wait 15 minutes."
)
TOO_OFTEN = "Too many attempts failed. Wait 15 minutes, then try again."

router = APIRouter()
log = get_logger(__name__)


@router.get("/")
def start() -> Response:
    """The first page."""
    return RedirectResponse(START, 303)


@router.get("/sign-in")
def page(
    request: Request, services: GivenServices, next: Annotated[str, Query(max_length=2000)] = START
) -> Response:
    """The form; whoever is signed in is taken on."""
    if find_signed_in(request, services) is not None:
        return RedirectResponse(_own_path(next), 303)
    return render(request, "sign_in.html", next=_own_path(next), failure="", name="")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    services: GivenServices,
    name: Annotated[str, Form(max_length=100)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    key: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = START,
) -> Response:
    """Take a name and password, or a key."""
    check_origin(request, services)
    name, key = name.strip().lower(), key.strip()
    token, status = await run_in_threadpool(_judge, services, request, name=name, password=password, key=key)
    if token is None:
        failure = TOO_OFTEN if status == 429 else WRONG
        return render(
            request, "sign_in.html", status=status, next=_own_path(next), failure=failure, name=name
        )
    response = RedirectResponse(_own_path(next), 303)
    set_session(response, token, request=request, services=services)
    return response


@router.post("/sign-out")
def sign_out(
    request: Request, services: GivenServices, presented: Annotated[str | None, Depends(presented_token)]
) -> Response:
    """End the session here and in the records."""
    response = RedirectResponse("/console/sign-in", 303)
    token = session_token(request, services)
    if token is not None:
        check_forgery(request, services, presented=presented)
        with transaction(services.engine) as session:
            end_session(session, token)
    clear_session(response, request=request, services=services)
    return response


def _judge(
    services: Services, request: Request, *, name: str, password: str, key: str
) -> tuple[str | None, int]:
    """The new session's token, or None and the status to answer with."""
    address = request.client.host if request.client else "unknown"
    match = PRESENTED_KEY.fullmatch(key)
    counted = name if not key else f"key:{match[1] if match else ''}"
    with transaction(services.engine) as session:
        if not begin_attempt(session, name=counted, address=address):
            log.warning("sign_in_throttled", address=address)
            return None, 429
    owner = _find_owner_of_key(services, key) if key else _find_operator(services, name, password)
    if owner is None:
        log.warning("sign_in_refused", address=address)
        return None, 401
    return _begin(services, request, owner, counted=counted, address=address), 303


def _find_owner_of_key(services: Services, key: str) -> ApiKey | None:
    with transaction(services.engine) as session:
        return find_key(session, key)


def _find_operator(services: Services, name: str, password: str) -> Operator | None:
    with transaction(services.engine) as session:
        operator = find_operator(session, name)
    if operator is not None and operator.disabled_at is not None:
        operator = None
    # Outside the transaction, since this takes long on purpose.
    return operator if verify_password(operator.password_hash if operator else None, password) else None


def _begin(
    services: Services, request: Request, owner: Operator | ApiKey, *, counted: str, address: str
) -> str:
    before = session_token(request, services)
    with transaction(services.engine) as session:
        forget_attempts(session, name=counted, address=address)
        if before is not None:
            end_session(session, before)
        if isinstance(owner, Operator):
            note_sign_in(session, owner)
        return begin_session(session, owner, lifetime=lifetime_of(services))


def _own_path(path: str) -> str:
    """The path if it leads to a page of ours, else the first page; a browser reads `\\` and `//` as another host."""
    ours = path == "/console" or path.startswith("/console/")
    return path if ours and "\\" not in path and path.isprintable() else START
