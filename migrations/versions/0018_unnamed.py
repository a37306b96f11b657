"""The index that finds images without a name, unseen and left open, for the quarantine; in place of that of unseen ones.

Made while images are attributed. Older workers find unseen images by it, too.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNSEEN, UNNAMED = "ix_attributions_unseen", "ix_attributions_unnamed"


def upgrade() -> None:
    """Apply the change."""
    _replace(UNSEEN, UNNAMED, ["model_version", "verdict", "id"], where="verdict <> 'generator'")


def downgrade() -> None:
    """Take the change back; nothing is lost, and what entered the quarantine stays."""
    _replace(UNNAMED, UNSEEN, ["model_version", "id"], where="verdict = 'unseen'")


def _replace(old: str, new: str, columns: list[str], *, where: str) -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            new,
            "attributions",
            columns,
            postgresql_where=sa.text(where),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(old, table_name="attributions", postgresql_concurrently=True, if_exists=True)
