"""Tenants as those who run the service see them: made, listed with what they use, given a quota."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.models import ApiKey, ImageUsage, Tenant


class TenantNotFound(NotFound):
    """There is no such tenant."""

    code = "tenant_not_found"


class TenantExists(Conflict):
    """A tenant has this name already."""

    code = "tenant_exists"


@dataclass(frozen=True)
class TenantUse:
    """A tenant, the images that it submitted today (UTC), and its keys that are not revoked or expired."""

    tenant: Tenant
    images_today: int
    live_keys: int


def list_tenants(session: Session, *, limit: int, after: str | None = None) -> list[TenantUse]:
    """Tenants by name, those behind `after`."""
    chosen = select(Tenant.id).order_by(Tenant.name).limit(limit)
    if after is not None:
        chosen = chosen.where(Tenant.name > after)
    return _use(session, list(session.scalars(chosen)))


def find_tenant_use(session: Session, tenant_id: UUID) -> TenantUse:
    """One tenant.

    Raises:
        TenantNotFound
    """
    found = _use(session, [tenant_id])
    if not found:
        raise TenantNotFound(f"there is no tenant {tenant_id}")
    return found[0]


def create_tenant(session: Session, name: str, *, daily_image_quota: int | None, actor: str) -> UUID:
    """A new tenant, with the service's quota where it gets none of its own.

    Raises:
        TenantExists
    """
    row = insert(Tenant).values(name=name, daily_image_quota=daily_image_quota)
    statement = row.on_conflict_do_nothing(index_elements=["name"]).returning(Tenant.id)
    tenant_id = session.execute(statement).scalar_one_or_none()
    if tenant_id is None:
        raise TenantExists(f"there is a tenant {name!r} already")
    quota = {"daily_image_quota": daily_image_quota}
    record_audit(session, "tenant.created", tenant_id=tenant_id, actor=actor, subject=name, **quota)
    return tenant_id


def set_quota(session: Session, tenant_id: UUID, *, daily_image_quota: int | None, actor: str) -> None:
    """Give a tenant a quota of its own, or (None) the service's. It holds from the next upload on.

    Raises:
        TenantNotFound
    """
    tenant = session.get(Tenant, tenant_id, with_for_update=True)
    if tenant is None:
        raise TenantNotFound(f"there is no tenant {tenant_id}")
    change = {"before": tenant.daily_image_quota, "after": daily_image_quota}
    tenant.daily_image_quota = daily_image_quota
    record_audit(session, "tenant.quota_set", tenant_id=tenant_id, actor=actor, subject=tenant.name, **change)
    session.flush()


def _use(session: Session, tenant_ids: list[UUID]) -> list[TenantUse]:
    images = (
        select(func.coalesce(func.sum(ImageUsage.images), 0))
        .where(ImageUsage.tenant_id == Tenant.id, ImageUsage.day == datetime.now(UTC).date())
        .scalar_subquery()
    )
    keys = (
        select(func.count())
        .where(
            ApiKey.tenant_id == Tenant.id,
            ApiKey.revoked_at.is_(None),
            ApiKey.expires_at.is_(None) | (ApiKey.expires_at > func.now()),
        )
        .scalar_subquery()
    )
    statement = select(Tenant, images, keys).where(Tenant.id.in_(tenant_ids)).order_by(Tenant.name)
    return [TenantUse(tenant, int(used), live) for tenant, used, live in session.execute(statement)]
