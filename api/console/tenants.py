"""The page of tenants, for those who run the service: what each uses, its quota, and a new one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api import tenants as routes
from api.administration_schemas import QuotaChange, TenantCreate
from api.console.forms import read_form, whole_number
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.keys import SERVICE_ADMIN

HERE = "/console/system/tenants"
SHOWN = 50
SAID = {
    "made": "The tenant is made. Give it a key next.",
    "quota": "The quota holds from the next upload on.",
}

router = APIRouter(prefix="/system/tenants")
Reader = Annotated[Visitor, opens(SERVICE_ADMIN)]
Writer = Annotated[Visitor, sends(SERVICE_ADMIN)]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The tenants by name."""
    listed = routes.list_(services, visitor.caller, SHOWN, cursor)
    return render(
        request,
        "tenants.html",
        tenants=listed.data,
        next_cursor=listed.next_cursor,
        default_quota=services.settings.daily_image_quota,
        said=SAID.get(said, ""),
    )


@router.post("")
def create(
    services: GivenServices,
    visitor: Writer,
    name: Annotated[str, Form(max_length=200)],
    quota: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Make a tenant, and back to the list."""
    body = read_form(TenantCreate, name=name.strip(), daily_image_quota=whole_number(quota))
    routes.create(body, services, visitor.caller)
    return RedirectResponse(f"{HERE}?said=made", 303)


@router.post("/{tenant_id}/quota")
def set_quota(
    tenant_id: UUID,
    services: GivenServices,
    visitor: Writer,
    quota: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Set a quota, or take it back to the service's, and back to the list."""
    routes.change(tenant_id, QuotaChange(daily_image_quota=whole_number(quota)), services, visitor.caller)
    return RedirectResponse(f"{HERE}?said=quota", 303)
