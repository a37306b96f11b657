"""Review: labels that take others back or were given to many at once, and who has which image before them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LABEL_INDEXES = {
    "ix_labels_appeals": (["tenant_id", "id"], "kind = 'appeal'"),
    "ix_labels_withdraws": (["withdraws"], "withdraws IS NOT NULL"),
    "ix_labels_bulk_id": (["bulk_id"], "bulk_id IS NOT NULL"),
    "ix_labels_tenant_id_actor_id": (["tenant_id", "actor", "id"], None),
}


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("labels", sa.Column("withdraws", sa.Uuid(), nullable=True))
    op.add_column("labels", sa.Column("bulk_id", sa.Uuid(), nullable=True))
    op.drop_constraint(op.f("ck_labels_kind"), "labels", type_="check")
    op.create_check_constraint(
        op.f("ck_labels_kind"), "labels", "kind IN ('confirm', 'correct', 'appeal', 'withdraw')"
    )
    op.create_check_constraint(
        op.f("ck_labels_withdraws_one"), "labels", "(kind = 'withdraw') = (withdraws IS NOT NULL)"
    )
    for name, (columns, condition) in LABEL_INDEXES.items():
        where = None if condition is None else sa.text(condition)
        op.create_index(name, "labels", columns, postgresql_where=where)
    _create_claims()
    _replace_states("'held', 'near', 'over_cap', 'enrolled', 'dismissed', 'named'")


def _replace_states(states: str) -> None:
    op.drop_constraint(op.f("ck_quarantine_state"), "quarantine", type_="check")
    op.create_check_constraint(op.f("ck_quarantine_state"), "quarantine", f"state IN ({states})")


def _create_claims() -> None:
    op.create_table(
        "review_claims",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_review_claims_tenant_id")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_review_claims_image_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_claims")),
    )
    op.create_index(
        "uq_review_claims_image_id",
        "review_claims",
        ["image_id"],
        unique=True,
        postgresql_where=sa.text("skipped_at IS NULL"),
    )
    op.create_index(
        "ix_review_claims_skipped",
        "review_claims",
        ["image_id", "actor"],
        postgresql_where=sa.text("skipped_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_review_claims_tenant_id_actor"), "review_claims", ["tenant_id", "actor"])


def downgrade() -> None:
    """Take the change back; that labels were taken back is lost with them, so that they would stand again."""
    op.execute("UPDATE quarantine SET state = 'held' WHERE state = 'named'")
    _replace_states("'held', 'near', 'over_cap', 'enrolled', 'dismissed'")
    op.drop_table("review_claims")
    for name in LABEL_INDEXES:
        op.drop_index(name, table_name="labels")
    op.execute("ALTER TABLE labels DISABLE TRIGGER labels_are_append_only")
    op.execute("DELETE FROM labels WHERE kind = 'withdraw'")
    op.execute("ALTER TABLE labels ENABLE TRIGGER labels_are_append_only")
    op.drop_constraint(op.f("ck_labels_withdraws_one"), "labels", type_="check")
    op.drop_constraint(op.f("ck_labels_kind"), "labels", type_="check")
    op.create_check_constraint(op.f("ck_labels_kind"), "labels", "kind IN ('confirm', 'correct', 'appeal')")
    op.drop_column("labels", "bulk_id")
    op.drop_column("labels", "withdraws")
