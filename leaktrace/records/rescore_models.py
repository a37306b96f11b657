"""The tables of re-scoring: images judged again by what is in force, beside what they were answered.

Items keep their answer; a re-score adds attributions and points at both. Knows nothing of how images are judged.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

RESCORE_STATES = ("asked", "running", "completed", "failed")


class Rescore(Base):
    """A batch, or what was submitted in a range of time, judged again, by the versions in force when it began."""

    __tablename__ = "rescores"
    __table_args__ = (
        one_of("state", RESCORE_STATES),
        Index(None, "tenant_id", "id"),
        Index("ix_rescores_open", "id", postgresql_where=text("state IN ('asked', 'running')")),
        Index(None, "batch_id"),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    since: Mapped[datetime | None]  # of the items' submission; null: no bound
    until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="asked")
    model_version: Mapped[str | None] = mapped_column(ForeignKey("model_versions.version"))
    density_version: Mapped[str | None] = mapped_column(ForeignKey("density_versions.version"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))  # runs since its last step was saved
    reason: Mapped[str]
    error: Mapped[str | None]
    actor: Mapped[str]
    created_at: Mapped[datetime] = created_now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class RescoredItem(Base):
    """One item's answer before and after; no `after_id` where it could not be judged again (`error_code`)."""

    __tablename__ = "rescored_items"
    __table_args__ = (Index(None, "item_id"), Index(None, "before_id"), Index(None, "after_id"))

    rescore_id: Mapped[UUID] = mapped_column(ForeignKey("rescores.id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True)
    before_id: Mapped[UUID] = mapped_column(ForeignKey("attributions.id", ondelete="CASCADE"))
    after_id: Mapped[UUID | None] = mapped_column(ForeignKey("attributions.id", ondelete="CASCADE"))
    error_code: Mapped[str | None]
