"""Looks for drift, and what each of their tests found."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS = "kind IN ('golden', 'live', 'rate', 'embedding')"


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "drift_runs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("density_version", sa.Text(), nullable=False),
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_drift_runs_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["density_version"], ["density_versions.version"], name=op.f("fk_drift_runs_density_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_runs")),
    )
    op.create_index(op.f("ix_drift_runs_model_version_id"), "drift_runs", ["model_version", "id"])
    op.create_table(
        "drift_findings",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("effect", sa.Float(53), nullable=False),
        sa.Column("bound", sa.Float(53), nullable=False),
        sa.Column("p_value", sa.Float(53), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("compared_with", sa.Integer(), nullable=False),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(KINDS, name=op.f("ck_drift_findings_kind")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["drift_runs.id"], name=op.f("fk_drift_findings_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "kind", "subject", name=op.f("pk_drift_findings")),
    )
    op.create_index(
        "ix_drift_findings_alarms", "drift_findings", ["run_id"], postgresql_where=sa.text("alarm")
    )


def downgrade() -> None:
    """Take the change back; what was found is lost."""
    op.drop_table("drift_findings")
    op.drop_table("drift_runs")
