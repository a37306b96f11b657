"""Models that are retired, batches whose deletion was accepted, and the record of looks through the object store."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)
STATES = (
    "uploading", "validating", "queued", "in_progress", "finalizing", "completed",
    "failed", "expired", "cancelling", "cancelled",
)  # fmt: skip


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("model_versions", sa.Column("retired_at", TIME, nullable=True))
    op.add_column("batches", sa.Column("deleting_at", TIME, nullable=True))
    op.add_column("batches", sa.Column("deleted_by", sa.Text(), nullable=True))
    op.create_index(
        "ix_batches_deleting", "batches", ["deleting_at"], postgresql_where=sa.text("state = 'deleting'")
    )
    _allow_states(*STATES, "deleting")
    op.create_table(
        "tidy_runs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("examined", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("last_key", sa.Text(), nullable=False),
        sa.Column("at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tidy_runs")),
    )


def downgrade() -> None:
    """Take the change back. Batches that are being deleted are `cancelled` again, with what is left of them."""
    op.drop_table("tidy_runs")
    op.execute("UPDATE batches SET state = 'cancelled' WHERE state = 'deleting'")
    _allow_states(*STATES)
    op.drop_index("ix_batches_deleting", table_name="batches")
    op.drop_column("batches", "deleted_by")
    op.drop_column("batches", "deleting_at")
    op.drop_column("model_versions", "retired_at")


def _allow_states(*states: str) -> None:
    name = op.f("ck_batches_state")
    op.drop_constraint(name, "batches", type_="check")
    op.create_check_constraint(name, "batches", f"state IN ({', '.join(repr(state) for state in states)})")
