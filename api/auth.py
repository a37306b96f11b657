"""Who is calling: the presented API key, or the console's session, and the scope that a route asks for.

A browser that is signed in to the console may call any route with its cookie and the token against forgery. A key
that is malformed, unknown, wrong, expired or revoked is answered alike (401), so that guessing teaches nothing.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.dependencies import GivenServices, Services
from api.errors import ScopeMissing, Unauthenticated
from api.sessions import TOKEN_HEADER, check_forgery, find_signed_in
from leaktrace.records.database import transaction
from leaktrace.records.keys import SERVICE_ADMIN, TENANT_ADMIN, Caller, find_caller

_bearer = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="An API key, `lk_live_...`, as a bearer token."
)


def require_scope(scope: str) -> Any:
    """A dependency that gives the `Caller` when its key has the scope."""

    def authorize(
        request: Request,
        services: GivenServices,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if credentials is not None:
            caller = _caller_by_key(services, credentials.credentials)
        else:
            caller = _caller_by_session(request, services)
        require_scope_of(caller, scope)
        return caller

    return Depends(authorize)


def require_scope_of(caller: Caller, scope: str) -> None:
    """Raise `ScopeMissing` unless the caller has the scope."""
    if scope not in caller.scopes:
        raise ScopeMissing(f"this needs the scope {scope}, which the {caller.kind} has not got")


def _caller_by_key(services: Services, presented: str) -> Caller:
    with transaction(services.engine) as session:
        caller = find_caller(session, presented)
    if caller is None:
        raise Unauthenticated("the API key is not valid: mistyped, expired or revoked")
    return caller


def _caller_by_session(request: Request, services: Services) -> Caller:
    visitor = find_signed_in(request, services)
    if visitor is None:
        raise Unauthenticated("send your API key as `Authorization: Bearer lk_live_...`")
    check_forgery(request, services, presented=request.headers.get(TOKEN_HEADER))
    return visitor.caller


Breadth = Literal["tenant", "service"]
GivenBreadth = Annotated[
    Breadth, Query(alias="of", description="`service`: all tenants, for keys with `service:admin`.")
]


def tenant_of(caller: Caller, breadth: Breadth) -> UUID | None:
    """Whose things are asked for: the caller's own tenant's, or (None) everybody's.

    Raises:
        ScopeMissing: everybody's are asked for by somebody who does not run the service.
    """
    if breadth == "tenant":
        return caller.tenant_id
    require_scope_of(caller, SERVICE_ADMIN)
    return None


BatchReader = Annotated[Caller, require_scope("batches:read")]
BatchWriter = Annotated[Caller, require_scope("batches:write")]
ResultReader = Annotated[Caller, require_scope("results:read")]
GeneratorReader = Annotated[Caller, require_scope("generators:read")]
LabelWriter = Annotated[Caller, require_scope("labels:write")]
GeneratorWriter = Annotated[Caller, require_scope("generators:write")]
DensityReader = Annotated[Caller, require_scope("density:read")]
DensityWriter = Annotated[Caller, require_scope("density:write")]
TenantAdmin = Annotated[Caller, require_scope(TENANT_ADMIN)]
ServiceAdmin = Annotated[Caller, require_scope(SERVICE_ADMIN)]
WebhookReader = Annotated[Caller, require_scope("webhooks:read")]
WebhookWriter = Annotated[Caller, require_scope("webhooks:write")]
