"""The page of API keys: give one out, shown once; list them with what they may; revoke one.

A key that was just made is in the answer to its form and nowhere else, which is why that answer is a page.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api import keys as routes
from api.administration_schemas import KeyCreate, KeyWithSecret
from api.console.forms import read_form, whole_number
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices, Services
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.keys import GRANTABLE_SCOPES, SERVICE_ADMIN, TENANT_ADMIN
from leaktrace.records.tenants import TenantUse, list_tenants

HERE = "/console/system/keys"
SCOPE_WORDS = {
    "batches:read": "list and poll batches",
    "batches:write": "upload, cancel, retry, delete",
    "results:read": "results, attributions, labels",
    "generators:read": "generators and candidates",
    "generators:write": "name, merge, split, undo",
    "labels:write": "confirm, correct, appeal",
    "density:read": "densities, refits, shadows",
    "density:write": "roll the tenant's density back",
    "webhooks:read": "webhooks and deliveries",
    "webhooks:write": "make, change, replay",
    "tenant:admin": "keys, audit log and status of the tenant",
    "service:admin": "tenants, quotas, refits; its labels count for everybody's density",
}
TENANTS_OFFERED = 1_000

router = APIRouter(prefix="/system/keys")
Reader = Annotated[Visitor, opens(TENANT_ADMIN)]
Writer = Annotated[Visitor, sends(TENANT_ADMIN)]
Tenant = Annotated[UUID | None, Query()]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    tenant: Tenant = None,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The keys of the own tenant, or of another for those who run the service."""
    return _page(request, services, visitor, tenant=tenant, said="The key is revoked." if said else "")


@router.post("")
def create(
    request: Request,
    services: GivenServices,
    visitor: Writer,
    name: Annotated[str, Form(max_length=200)],
    scopes: Annotated[list[str], Form(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
    expires_days: Annotated[str, Form(max_length=20)] = "",
    tenant: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Make a key and show it, once."""
    body = read_form(
        KeyCreate,
        name=name.strip(),
        scopes=scopes,
        expires_days=whole_number(expires_days),
        tenant_id=tenant,
    )
    made = routes.create(body, Response(), services, visitor.caller)
    return _page(request, services, visitor, tenant=tenant, made=made)


@router.post("/{key_id}/revoke")
def revoke(
    key_id: routes.KeyId,
    services: GivenServices,
    visitor: Writer,
    tenant: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Revoke, and back to the list."""
    routes.revoke(key_id, services, visitor.caller, tenant)
    return RedirectResponse(f"{HERE}?said=revoked{f'&tenant={tenant}' if tenant else ''}", 303)


def _page(
    request: Request,
    services: Services,
    visitor: Visitor,
    *,
    tenant: UUID | None,
    said: str = "",
    made: KeyWithSecret | None = None,
) -> Response:
    caller = visitor.caller
    return render(
        request,
        "keys.html",
        keys=routes.list_(services, caller, tenant).data,
        made=made,
        said=said,
        offered=[(scope, SCOPE_WORDS[scope], scope in caller.scopes) for scope in GRANTABLE_SCOPES],
        tenants=_tenants(services) if SERVICE_ADMIN in caller.scopes else [],
        tenant_id=tenant or caller.tenant_id,
        own_key=caller.public_id if caller.kind == "key" else None,
    )


def _tenants(services: Services) -> list[TenantUse]:
    with transaction(services.engine) as session:
        return list_tenants(session, limit=TENANTS_OFFERED)
