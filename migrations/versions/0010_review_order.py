"""The index that finds the next image to review; apart, since it is made while images are attributed."""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "ix_attributions_review"


def upgrade() -> None:
    """Apply the change."""
    with op.get_context().autocommit_block():
        op.create_index(
            NAME,
            "attributions",
            ["tenant_id", "verdict", "id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    """Take the change back; nothing is lost."""
    with op.get_context().autocommit_block():
        op.drop_index(NAME, table_name="attributions", postgresql_concurrently=True, if_exists=True)
