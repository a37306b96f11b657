"""The routes of tenants, for those who run the service: list them with what they use, make one, set its quota."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from api.administration_schemas import QuotaChange, Tenant, TenantCreate, TenantPage, build_tenant
from api.auth import ServiceAdmin
from api.dependencies import GivenServices
from api.documents import problems
from leaktrace.records import tenants as records
from leaktrace.records.database import transaction

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])
LISTING = ("tenants",)


@router.get("", response_model=TenantPage, responses=problems(400, 422))
def list_(
    services: GivenServices,
    caller: ServiceAdmin,  # noqa: ARG001 - for its scope
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> TenantPage:
    """List the tenants by name, with their quotas and what they submitted today."""
    after = services.cursors.open(cursor, listing=LISTING)
    with transaction(services.engine) as session:
        found = records.list_tenants(session, limit=limit + 1, after=after)
    default_quota = services.settings.daily_image_quota
    page, further = services.cursors.cut(found, limit, listing=LISTING, position=lambda use: use.tenant.name)
    return TenantPage(
        data=[build_tenant(use, default_quota=default_quota) for use in page], next_cursor=further
    )


@router.post("", status_code=201, response_model=Tenant, responses=problems(409, 413, 422, reads="JSON"))
def create(body: TenantCreate, services: GivenServices, caller: ServiceAdmin) -> Tenant:
    """Make a tenant. Its first key is made with `tenant_id` at `/v1/keys`."""
    with transaction(services.engine) as session:
        tenant_id = records.create_tenant(
            session, body.name, daily_image_quota=body.daily_image_quota, actor=caller.actor
        )
        use = records.find_tenant_use(session, tenant_id)
    return build_tenant(use, default_quota=services.settings.daily_image_quota)


@router.patch("/{tenant_id}", response_model=Tenant, responses=problems(404, 413, 422, reads="JSON"))
def change(
    tenant_id: Annotated[UUID, Path(description="The tenant's `id`.")],
    body: QuotaChange,
    services: GivenServices,
    caller: ServiceAdmin,
) -> Tenant:
    """Set a tenant's daily quota of images."""
    with transaction(services.engine) as session:
        records.set_quota(session, tenant_id, daily_image_quota=body.daily_image_quota, actor=caller.actor)
        use = records.find_tenant_use(session, tenant_id)
    return build_tenant(use, default_quota=services.settings.daily_image_quota)
