"""How many of the last numbers of a model's embeddings are only kept, for generators to come, and have no say in distances.

None for the models that were registered before.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the change."""
    op.add_column("model_versions", sa.Column("kept_dim", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Take the change back; which numbers are only kept is lost, and indexes over the others serve no search."""
    op.drop_column("model_versions", "kept_dim")
