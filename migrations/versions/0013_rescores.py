"""Re-scores: items judged again beside what they were answered."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("now()")
STATES = "state IN ('asked', 'running', 'completed', 'failed')"


def upgrade() -> None:
    """Apply the change."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "rescores",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("since", moment, nullable=True),
        sa.Column("until", moment, nullable=True),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("density_version", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", moment, server_default=NOW, nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        sa.CheckConstraint(STATES, name=op.f("ck_rescores_state")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_rescores_tenant_id")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_rescores_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_rescores_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["density_version"], ["density_versions.version"], name=op.f("fk_rescores_density_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescores")),
    )
    op.create_index(op.f("ix_rescores_tenant_id_id"), "rescores", ["tenant_id", "id"])
    op.create_index(op.f("ix_rescores_batch_id"), "rescores", ["batch_id"])
    open_ones = sa.text("state IN ('asked', 'running')")
    op.create_index("ix_rescores_open", "rescores", ["id"], postgresql_where=open_ones)
    _create_items()


def _create_items() -> None:
    op.create_table(
        "rescored_items",
        sa.Column("rescore_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("before_id", sa.Uuid(), nullable=False),
        sa.Column("after_id", sa.Uuid(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_rescored_items_{column}"), ondelete="CASCADE"
            )
            for column, table in (
                ("rescore_id", "rescores"),
                ("item_id", "items"),
                ("before_id", "attributions"),
                ("after_id", "attributions"),
            )
        ),
        sa.PrimaryKeyConstraint("rescore_id", "item_id", name=op.f("pk_rescored_items")),
    )
    for column in ("item_id", "before_id", "after_id"):
        op.create_index(op.f(f"ix_rescored_items_{column}"), "rescored_items", [column])


def downgrade() -> None:
    """Take the change back; the attributions that re-scores made stay."""
    op.drop_table("rescored_items")
    op.drop_table("rescores")
