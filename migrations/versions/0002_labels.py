"""What people say of images: confirmations, corrections and appeals, append-only like the audit trail."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

REFUSE_CHANGE = """
CREATE FUNCTION refuse_label_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'labels are append-only'; END $$
"""
GUARD_LABELS = """
CREATE TRIGGER labels_are_append_only BEFORE UPDATE OR DELETE ON labels
FOR EACH ROW EXECUTE FUNCTION refuse_label_change()
"""


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "labels",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("generator", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("attribution_id", sa.Uuid(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("density_version", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('confirm', 'correct', 'appeal')", name=op.f("ck_labels_kind")),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_labels_has_reason")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_labels_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_tenant_id_sha256_id"), "labels", ["tenant_id", "sha256", "id"])
    op.create_index(
        "ix_labels_corrections", "labels", ["tenant_id", "id"], postgresql_where=sa.text("kind <> 'appeal'")
    )
    op.execute(REFUSE_CHANGE)
    op.execute(GUARD_LABELS)


def downgrade() -> None:
    """Take the change back; everything that people said of images is lost."""
    op.drop_table("labels")
    op.execute("DROP FUNCTION refuse_label_change()")
