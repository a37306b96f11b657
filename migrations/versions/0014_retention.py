"""Attributions whose embedding was let go for its age."""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.alter_column("attributions", "embedding", nullable=True)


def downgrade() -> None:
    """Take the change back; refused by Postgres while an embedding is gone, since nothing could stand in its place."""
    op.alter_column("attributions", "embedding", nullable=False)
