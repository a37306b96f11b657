"""Who opens a page or sends a form: the session's visitor, the scope that is asked for, and the defence against
forgery.

A page asks for `Annotated[Visitor, opens("batches:read")]`, a form for `Annotated[Visitor, sends("batches:write")]`.
"""

from typing import Any

from fastapi import Depends, Request

from api.auth import require_scope_of
from api.dependencies import GivenServices, Services
from api.errors import Unauthenticated
from api.sessions import TOKEN_HEADER, check_forgery, find_signed_in
from leaktrace.records.console_sessions import Visitor

TOKEN_FIELD = "csrf_token"  # noqa: S105 - a name, not a secret


def opens(*scopes: str) -> Any:
    """A dependency that gives the visitor who may read this."""

    def visit(request: Request, services: GivenServices) -> Visitor:
        visitor = _admit(request, services)
        for scope in scopes:
            require_scope_of(visitor.caller, scope)
        return visitor

    return Depends(visit)


def sends(*scopes: str) -> Any:
    """A dependency that gives the visitor who may change this, and did so from one of our pages."""

    def visit(
        request: Request, services: GivenServices, token: str | None = Depends(presented_token)
    ) -> Visitor:
        visitor = _admit(request, services)
        check_forgery(request, services, presented=token)
        for scope in scopes:
            require_scope_of(visitor.caller, scope)
        return visitor

    return Depends(visit)


async def presented_token(request: Request) -> str | None:
    """The token against forgery: a script's header, or a form's field."""
    header = request.headers.get(TOKEN_HEADER)
    if header is not None:
        return header
    field = (await request.form()).get(TOKEN_FIELD)
    return field if isinstance(field, str) else None


def _admit(request: Request, services: Services) -> Visitor:
    visitor = find_signed_in(request, services)
    if visitor is None:
        raise Unauthenticated("sign in first")
    request.state.visitor = visitor  # for the page's frame, also when it says no
    return visitor
