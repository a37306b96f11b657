"""The quarantine of unseen images and the candidate generators found in it.

The index on `attributions` is made in place, since no release has been made that could have filled the table.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("now()")


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("images", sa.Column("perceptual_hash", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_attributions_unseen",
        "attributions",
        ["model_version", "id"],
        postgresql_where=sa.text("verdict = 'unseen'"),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("previous_size", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("medoids", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("nearest_generator", sa.Text(), nullable=False),
        sa.Column("novelty", sa.Float(precision=53), nullable=False),
        sa.Column("stability", sa.Float(precision=53), nullable=False),
        sa.Column("confidence", sa.Float(precision=53), nullable=False),
        sa.Column("sources", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'enrolled', 'dismissed', 'gone')", name=op.f("ck_candidates_state")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_candidates_tenant_id")),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_candidates_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidates")),
    )
    op.create_index(
        "ix_candidates_open",
        "candidates",
        ["tenant_id", "model_version"],
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("attribution_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("perceptual_hash", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("copy_of", sa.Uuid(), nullable=True),
        sa.Column("candidate_id", sa.Uuid(), nullable=True),
        sa.Column("matures_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('held', 'near', 'over_cap', 'enrolled', 'dismissed')",
            name=op.f("ck_quarantine_state"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_quarantine_tenant_id")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_quarantine_image_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["attribution_id"],
            ["attributions.id"],
            name=op.f("fk_quarantine_attribution_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_quarantine_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["copy_of"], ["quarantine.id"], name=op.f("fk_quarantine_copy_of"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.id"], name=op.f("fk_quarantine_candidate_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("image_id", "model_version", name=op.f("uq_quarantine_image_id_model_version")),
    )
    op.create_index(
        "ix_quarantine_held",
        "quarantine",
        ["tenant_id", "model_version"],
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(op.f("ix_quarantine_tenant_id_batch_id"), "quarantine", ["tenant_id", "batch_id"])
    op.create_index(op.f("ix_quarantine_candidate_id"), "quarantine", ["candidate_id"])


def downgrade() -> None:
    """Take the change back; the quarantine, its candidates and the perceptual hashes are lost."""
    op.drop_table("quarantine")
    op.drop_table("candidates")
    op.drop_index("ix_attributions_unseen", table_name="attributions")
    op.drop_column("images", "perceptual_hash")
