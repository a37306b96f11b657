"""Which objects of the store a row names, and the record of the runs that look for those that none does.

An API that dies between storing bytes and recording them leaves such an object, and so does a worker between a density
and its row. Knows names and not keys.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from leaktrace.records.audit import record_audit
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.items import hold_tenant
from leaktrace.records.models import Image, Item, TidyRun

TIDIED = "objects.tidied"  # what uploads that run meanwhile look for


def named_by(session: Session, tenant_id: UUID, *, names: Collection[str]) -> set[str]:
    """Which of these hashes and item ids the tenant's rows name. The tenant is held until the transaction ends."""
    hold_tenant(session, tenant_id)
    hashes = select(Image.sha256).where(Image.tenant_id == tenant_id, Image.sha256.in_(names))
    # A worker that has checked a promised upload copies it to its place before it records the image.
    promised = select(Item.id, Item.staged_sha256).where(
        Item.tenant_id == tenant_id,
        Item.staged_sha256.is_not(None),
        Item.staged_sha256.in_(names) | cast(Item.id, Text).in_(names),
    )
    found = {str(word) for row in session.execute(promised) for word in row}
    return found.union(session.scalars(hashes))


def published_among(session: Session, keys: Collection[str]) -> set[str]:
    """Which of these keys a density version has: its artefact, its known part, or the manifest of its data."""
    named = (
        DensityVersion.object_key,
        DensityVersion.details[("known", "object_key")].astext,
        DensityVersion.details[("data", "manifest_key")].astext,
    )
    return {key for column in named for key in session.scalars(select(column).where(column.in_(keys)))}


def note_tidied(session: Session, tenant_id: UUID | None, *, objects: int) -> None:
    """Record that objects were deleted, for uploads that have just stored the same bytes and for people."""
    record_audit(
        session, TIDIED, tenant_id=tenant_id, actor="system", subject="object store", objects=objects
    )


def next_place(session: Session) -> str:
    """The key that the last run ended at; empty to begin anew."""
    return session.scalars(select(TidyRun.last_key).order_by(TidyRun.id.desc()).limit(1)).first() or ""


def record_tidying(session: Session, *, examined: int, deleted: int, last_key: str) -> None:
    """Append one run."""
    session.add(TidyRun(examined=examined, deleted=deleted, last_key=last_key))
