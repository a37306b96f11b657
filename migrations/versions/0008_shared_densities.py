"""Refits on confirmed labels, densities in shadow, and generators that are promoted to everybody."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("now()")
FALSE = sa.text("false")
STATES = "state IN ('candidate', 'shadow', 'active', 'retired'"
OUTCOMES = "outcome IN ('asked', 'published', 'no_change', 'refused', 'shadow')"


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("labels", sa.Column("trusted", sa.Boolean(), server_default=FALSE, nullable=False))
    op.create_index("ix_labels_trusted", "labels", ["id"], postgresql_where=sa.text("trusted"))
    op.add_column("enrolments", sa.Column("shared", sa.Boolean(), server_default=FALSE, nullable=False))
    op.create_index(
        "ix_enrolments_shared", "enrolments", ["model_version", "state"], postgresql_where=sa.text("shared")
    )
    _extend_densities()
    _extend_refits()
    op.create_table(
        "shadow_judgements",
        sa.Column("density_version", sa.Text(), nullable=False),
        sa.Column("attribution_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("generator", sa.Text(), nullable=True),
        sa.Column("p_value", sa.Float(53), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["density_version"],
            ["density_versions.version"],
            name=op.f("fk_shadow_judgements_density_version"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["attribution_id"],
            ["attributions.id"],
            name=op.f("fk_shadow_judgements_attribution_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_shadow_judgements_tenant_id")),
        sa.PrimaryKeyConstraint("density_version", "attribution_id", name=op.f("pk_shadow_judgements")),
    )
    op.create_index(op.f("ix_shadow_judgements_attribution_id"), "shadow_judgements", ["attribution_id"])


def _extend_densities() -> None:
    op.add_column(
        "density_versions",
        sa.Column(
            "gates",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column("density_versions", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column("density_versions", sa.Column("shadowed_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f("ck_density_versions_state"), "density_versions", type_="check")
    op.create_check_constraint(
        op.f("ck_density_versions_state"), "density_versions", f"{STATES}, 'rejected')"
    )
    op.create_index(
        "uq_density_versions_shadow",
        "density_versions",
        ["model_version"],
        unique=True,
        postgresql_where=sa.text("state = 'shadow'"),
    )


def _extend_refits() -> None:
    op.add_column("refits", sa.Column("actor", sa.Text(), server_default="system", nullable=False))
    op.add_column(
        "refits",
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column(
        "refits", sa.Column("decided_at", sa.DateTime(timezone=True), server_default=NOW, nullable=True)
    )
    op.create_check_constraint(op.f("ck_refits_outcome"), "refits", OUTCOMES)
    op.create_index(op.f("ix_refits_model_version_id"), "refits", ["model_version", "id"])
    op.create_index("ix_refits_asked", "refits", ["id"], postgresql_where=sa.text("outcome = 'asked'"))


def downgrade() -> None:
    """Take the change back; promotions, shadow judgements and the reasons of densities are lost."""
    op.drop_table("shadow_judgements")
    op.execute("DELETE FROM refits WHERE outcome IN ('asked', 'shadow')")
    op.drop_index("ix_refits_asked", table_name="refits")
    op.drop_index(op.f("ix_refits_model_version_id"), table_name="refits")
    op.drop_constraint(op.f("ck_refits_outcome"), "refits", type_="check")
    for column in ("decided_at", "details", "actor"):
        op.drop_column("refits", column)
    op.execute("DELETE FROM enrolments WHERE shared")
    op.drop_index("ix_enrolments_shared", table_name="enrolments")
    op.drop_column("enrolments", "shared")
    op.drop_index("uq_density_versions_shadow", table_name="density_versions")
    op.execute("UPDATE density_versions SET state = 'candidate' WHERE state IN ('shadow', 'rejected')")
    op.drop_constraint(op.f("ck_density_versions_state"), "density_versions", type_="check")
    op.create_check_constraint(op.f("ck_density_versions_state"), "density_versions", f"{STATES})")
    for column in ("shadowed_at", "outcome", "gates"):
        op.drop_column("density_versions", column)
    op.drop_index("ix_labels_trusted", table_name="labels")
    op.drop_column("labels", "trusted")
