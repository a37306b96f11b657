"""When groups were last looked for, so that "nothing was found" differs from "nobody has looked yet"."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "discovery_runs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_discovery_runs_tenant_id")),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_discovery_runs_model_version")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "model_version", name=op.f("pk_discovery_runs")),
    )


def downgrade() -> None:
    """Take the change back; when groups were looked for is lost, and comes again with the next look."""
    op.drop_table("discovery_runs")
