"""Enrolled generators, densities of a tenant's own, and one attribution for each density version.

An image judged by two densities has two attributions, so what was said before an enrolment or a rollback stays.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("now()")
ACTIVE = sa.text("state = 'active'")


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("attributions", sa.Column("gate", HALFVEC(), nullable=True))
    op.drop_constraint("uq_attributions_image_id_model_version", "attributions", type_="unique")
    op.create_unique_constraint(
        op.f("uq_attributions_image_id_model_version_density_version"),
        "attributions",
        ["image_id", "model_version", "density_version"],
    )
    op.add_column("density_versions", sa.Column("tenant_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_density_versions_tenant_id"), "density_versions", "tenants", ["tenant_id"], ["id"]
    )
    op.drop_index("uq_density_versions_active", table_name="density_versions", postgresql_where=ACTIVE)
    op.create_index(
        "uq_density_versions_active",
        "density_versions",
        ["model_version", "tenant_id"],
        unique=True,
        postgresql_where=ACTIVE,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "enrolments",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("replaces", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("candidate_id", sa.Uuid(), nullable=True),
        sa.Column("density_version", sa.Text(), nullable=True),
        sa.Column(
            "gates",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'refused', 'withdrawing', 'undone')",
            name=op.f("ck_enrolments_state"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_enrolments_tenant_id")),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_enrolments_model_version")
        ),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidates.id"], name=op.f("fk_enrolments_candidate_id")),
        sa.ForeignKeyConstraint(
            ["density_version"], ["density_versions.version"], name=op.f("fk_enrolments_density_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
    )
    op.create_index("ix_enrolments_standing", "enrolments", ["tenant_id", "model_version", "state"])
    op.create_index(
        "ix_enrolments_open",
        "enrolments",
        ["id"],
        postgresql_where=sa.text("state IN ('pending', 'withdrawing')"),
    )
    op.create_table(
        "enrolled_images",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enrolment_id"],
            ["enrolments.id"],
            name=op.f("fk_enrolled_images_enrolment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_enrolled_images_image_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("enrolment_id", "image_id", name=op.f("pk_enrolled_images")),
    )
    op.create_index(op.f("ix_enrolled_images_image_id"), "enrolled_images", ["image_id"])


def downgrade() -> None:
    """Take the change back; enrolments, tenants' own densities and all but the newest attributions are lost."""
    op.drop_table("enrolled_images")
    op.drop_table("enrolments")
    op.execute("DELETE FROM items WHERE attribution_id IN (SELECT id FROM attributions WHERE density_version IN "
               "(SELECT version FROM density_versions WHERE tenant_id IS NOT NULL))")  # fmt: skip
    op.execute("DELETE FROM attributions WHERE density_version IN "
               "(SELECT version FROM density_versions WHERE tenant_id IS NOT NULL)")  # fmt: skip
    op.execute("DELETE FROM density_versions WHERE tenant_id IS NOT NULL")
    op.drop_index("uq_density_versions_active", table_name="density_versions", postgresql_where=ACTIVE)
    op.create_index(
        "uq_density_versions_active",
        "density_versions",
        ["model_version"],
        unique=True,
        postgresql_where=ACTIVE,
    )
    op.drop_constraint("fk_density_versions_tenant_id", "density_versions", type_="foreignkey")
    op.drop_column("density_versions", "tenant_id")
    op.execute(
        "UPDATE items SET attribution_id = newest.id FROM attributions old, LATERAL (SELECT id FROM attributions "
        "WHERE image_id = old.image_id AND model_version = old.model_version ORDER BY id DESC LIMIT 1) newest "
        "WHERE items.attribution_id = old.id"
    )
    op.execute(
        "DELETE FROM attributions old USING attributions later WHERE later.image_id = old.image_id "
        "AND later.model_version = old.model_version AND later.id > old.id"
    )
    op.drop_constraint(
        "uq_attributions_image_id_model_version_density_version", "attributions", type_="unique"
    )
    op.create_unique_constraint(
        "uq_attributions_image_id_model_version", "attributions", ["image_id", "model_version"]
    )
    op.drop_column("attributions", "gate")
