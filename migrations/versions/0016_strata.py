"""What the p-values of an attribution were measured against: the image's processing stratum, and the images of each class.

Empty for what was answered before; such images are measured by whole classes when they are judged again.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    kind = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("attributions", sa.Column("calibration", kind, nullable=True))


def downgrade() -> None:
    """Take the change back; the strata of images that were answered since are lost, and their answers stay."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("attributions", "calibration")
