"""Who is calling: the presented API key, checked against the records, and the scope that a route asks for.

A key that is malformed, unknown, wrong, expired or revoked is answered alike (401), so that guessing teaches nothing.
"""

from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.dependencies import GivenServices
from api.errors import ScopeMissing, Unauthenticated
from leaktrace.records.database import transaction
from leaktrace.records.keys import Caller, find_caller

_bearer = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="An API key, `lk_live_...`, as a bearer token."
)


def require_scope(scope: str) -> Any:
    """A dependency that gives the `Caller` when its key has the scope."""

    def authorize(
        services: GivenServices,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if credentials is None:
            raise Unauthenticated("send your API key as `Authorization: Bearer lk_live_...`")
        with transaction(services.engine) as session:
            caller = find_caller(session, credentials.credentials)
        if caller is None:
            raise Unauthenticated("the API key is not valid: mistyped, expired or revoked")
        if scope not in caller.scopes:
            raise ScopeMissing(f"this needs a key with the scope {scope}; the key has not got it")
        return caller

    return Depends(authorize)


BatchReader = Annotated[Caller, require_scope("batches:read")]
BatchWriter = Annotated[Caller, require_scope("batches:write")]
ResultReader = Annotated[Caller, require_scope("results:read")]
GeneratorReader = Annotated[Caller, require_scope("generators:read")]
LabelWriter = Annotated[Caller, require_scope("labels:write")]
GeneratorWriter = Annotated[Caller, require_scope("generators:write")]
DensityReader = Annotated[Caller, require_scope("density:read")]
DensityWriter = Annotated[Caller, require_scope("density:write")]
