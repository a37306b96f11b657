"""How much a tenant has submitted today, and how much work lies before the workers.

Quotas count images, once each item is recorded, in one row a tenant and day (UTC). Granting and noting happen under
the tenant's lock (`items.hold_tenant`), so that two requests cannot both take the last place.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.models import ImageUsage, Item, Shard, Tenant

WINDOW_SECONDS = 86_400


@dataclass(frozen=True)
class Quota:
    """What a tenant may still submit before `resets_in_seconds` have passed."""

    limit: int
    used: int
    resets_in_seconds: int

    @property
    def remaining(self) -> int:
        """Images that would still be taken; never negative, also after the limit was lowered."""
        return max(0, self.limit - self.used)


def find_quota(session: Session, tenant_id: UUID, *, default_limit: int) -> Quota:
    """The tenant's quota today; `default_limit` where the tenant has none of its own."""
    now = datetime.now(UTC)
    own_limit = session.execute(select(Tenant.daily_image_quota).where(Tenant.id == tenant_id)).scalar_one()
    used = session.execute(
        select(ImageUsage.images).where(ImageUsage.tenant_id == tenant_id, ImageUsage.day == now.date())
    ).scalar_one_or_none()
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), tzinfo=UTC)
    return Quota(
        limit=default_limit if own_limit is None else own_limit,
        used=used or 0,
        resets_in_seconds=int((midnight - now).total_seconds()) + 1,
    )


def note_images(session: Session, tenant_id: UUID, *, images: int) -> None:
    """Count `images` more to today."""
    if images == 0:
        return
    row = insert(ImageUsage).values(tenant_id=tenant_id, day=datetime.now(UTC).date(), images=images)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["tenant_id", "day"], set_={"images": ImageUsage.images + row.excluded.images}
        )
    )


def count_backlog(session: Session) -> int:
    """Images of all tenants that are queued or being attributed."""
    statement = (
        select(func.count())
        .select_from(Item)
        .join(Shard, Item.shard_id == Shard.id)
        .where(Shard.state != "done", Item.state.in_(("pending", "running")))
    )
    return session.execute(statement).scalar_one()
