"""The tables of densities: their versions, the record of every refit, and what a version in shadow would have said.

Apart from `models` because they tell how answers come to change, not how an image is answered. A version's facts never
change; its state does, and `gates` and `outcome` say why.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

DENSITY_STATES = ("candidate", "shadow", "active", "retired", "rejected")
REFIT_OUTCOMES = ("asked", "published", "no_change", "refused", "shadow")


class DensityVersion(Base):
    """An open-set density of one model version, published in the object store.

    At most one is active for everybody, and one for each tenant that has enrolled generators of its own; at most one of
    a model is in shadow.
    """

    __tablename__ = "density_versions"
    __table_args__ = (
        one_of("state", DENSITY_STATES),
        Index(
            "uq_density_versions_active",
            "model_version",
            "tenant_id",
            unique=True,
            postgresql_where=text("state = 'active'"),
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "uq_density_versions_shadow",
            "model_version",
            unique=True,
            postgresql_where=text("state = 'shadow'"),
        ),
        UniqueConstraint("version", "model_version"),
    )

    version: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))  # null: for everybody
    state: Mapped[str] = mapped_column(server_default="candidate")
    object_key: Mapped[str]
    sha256: Mapped[str]
    known_images: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    reason: Mapped[str]  # why it was made
    gates: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    outcome: Mapped[str | None]  # why it was promoted or refused, in words
    created_at: Mapped[datetime] = created_now()
    shadowed_at: Mapped[datetime | None]
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class Refit(Base):
    """One run of the refit, recorded also when it changed nothing. One that a person asks for begins as `asked`."""

    __tablename__ = "refits"
    __table_args__ = (
        one_of("outcome", REFIT_OUTCOMES),
        Index(None, "model_version", "id"),
        Index("ix_refits_asked", "id", postgresql_where=text("outcome = 'asked'")),
    )

    id: Mapped[UUID] = uuid7_key()
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    density_version: Mapped[str | None] = mapped_column(ForeignKey("density_versions.version"))
    outcome: Mapped[str]
    reason: Mapped[str]  # in words; for one that was asked for, until it is decided, the person's
    actor: Mapped[str] = mapped_column(server_default="system")
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # what was counted
    at: Mapped[datetime] = created_now()
    decided_at: Mapped[datetime | None] = created_now()


class ShadowJudgement(Base):
    """What a density in shadow says of an image that another one answered. It is never shown as the answer."""

    __tablename__ = "shadow_judgements"
    __table_args__ = (Index(None, "attribution_id"),)

    density_version: Mapped[str] = mapped_column(
        ForeignKey("density_versions.version", ondelete="CASCADE"), primary_key=True
    )
    attribution_id: Mapped[UUID] = mapped_column(
        ForeignKey("attributions.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    verdict: Mapped[str]
    generator: Mapped[str | None]
    p_value: Mapped[float] = mapped_column(Float(53))
    reason: Mapped[str]
    created_at: Mapped[datetime] = created_now()
