"""The tables of drift: each look at whether images still look as they did, and what each of its tests found.

Kept apart from the densities' tables since nothing in them changes an answer; the refit reads golden findings alone.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

DRIFT_KINDS = ("golden", "live", "rate", "embedding")


class DriftRun(Base):
    """One look: by which density, over which images. Recorded also when there were too few to test anything."""

    __tablename__ = "drift_runs"
    __table_args__ = (Index(None, "model_version", "id"),)

    id: Mapped[UUID] = uuid7_key()
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    density_version: Mapped[str] = mapped_column(ForeignKey("density_versions.version"))
    details: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'::jsonb")
    )  # images of each window
    at: Mapped[datetime] = created_now()


class DriftFinding(Base):
    """What one test of a run found. `effect` and `bound` are in the test's own unit."""

    __tablename__ = "drift_findings"
    __table_args__ = (
        one_of("kind", DRIFT_KINDS),
        Index("ix_drift_findings_alarms", "run_id", postgresql_where=text("alarm")),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("drift_runs.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)  # a generator or verdict; empty: all images
    effect: Mapped[float] = mapped_column(Float(53))
    bound: Mapped[float] = mapped_column(Float(53))
    p_value: Mapped[float] = mapped_column(Float(53))
    images: Mapped[int]
    compared_with: Mapped[int]
    alarm: Mapped[bool]
    reason: Mapped[str]
