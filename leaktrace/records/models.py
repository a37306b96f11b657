"""The tables. One class each, told in the order in which an image meets them.

Every row that belongs to a tenant carries its `tenant_id`, and every query filters by it. Counts are never stored: they
are counted.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records import density_models  # noqa: F401 - attributions refer to its tables
from leaktrace.records.base import Base, created_now, one_of, uuid7_key

BATCH_STATES = (
    "uploading", "validating", "queued", "in_progress", "finalizing", "completed",
    "failed", "expired", "cancelling", "cancelled", "deleting",
)  # fmt: skip
ITEM_STATES = ("pending", "running", "succeeded", "failed", "cancelled")
SHARD_STATES = ("queued", "leased", "done")
VERDICTS = ("generator", "unseen", "inconclusive")


def _tenant() -> Mapped[UUID]:
    return mapped_column(ForeignKey("tenants.id"))


class Tenant(Base):
    """Whoever owns batches; tenants never see one another's."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = uuid7_key()
    name: Mapped[str] = mapped_column(unique=True)
    daily_image_quota: Mapped[int | None] = mapped_column(BigInteger)  # null: the service's default
    created_at: Mapped[datetime] = created_now()


class ApiKey(Base):
    """`lk_live_<public_id>_<secret>`; only the secret's SHA-256 is kept."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    public_id: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ImageUsage(Base):
    """Images that a tenant submitted on one day (UTC); what quotas are checked against."""

    __tablename__ = "image_usage"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    images: Mapped[int] = mapped_column(BigInteger)


class Batch(Base):
    """Images submitted together. One timestamp a state, set when the state is entered."""

    __tablename__ = "batches"
    __table_args__ = (
        one_of("state", BATCH_STATES),
        Index(None, "tenant_id", "id"),
        Index("ix_batches_deleting", "deleting_at", postgresql_where=text("state = 'deleting'")),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    name: Mapped[str | None]
    # The client's metadata.
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    state: Mapped[str] = mapped_column(server_default="uploading")
    error: Mapped[str | None]  # why the batch itself could not be taken
    created_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime]
    validating_at: Mapped[datetime | None]
    queued_at: Mapped[datetime | None]
    in_progress_at: Mapped[datetime | None]
    finalizing_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    cancelling_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    deleting_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]  # "key:<public_id>", who asked for the deletion


class Image(Base):
    """Verified bytes, once a tenant and content, however many items show them."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("tenant_id", "sha256"),)

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[str | None]  # known once decoded
    width: Mapped[int | None]
    height: Mapped[int | None]
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = created_now()


class Shard(Base):
    """The unit of queueing: items of one batch that one message carries and one worker claims by a lease."""

    __tablename__ = "shards"
    __table_args__ = (
        one_of("state", SHARD_STATES),
        Index("ix_shards_unfinished", "batch_id", postgresql_where=text("state <> 'done'")),
        Index("ix_shards_open_lease", "lease_expires_at", postgresql_where=text("state = 'leased'")),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # claims that a worker began
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created_now()
    enqueued_at: Mapped[datetime] = created_now()
    finished_at: Mapped[datetime | None]


class Item(Base):
    """One entry of a batch: the client's `custom_id` and what became of its image.

    A multipart upload has an `image_id` from the start. A presigned upload has `staged_sha256` until a worker has
    checked the object's hash and given it its image.
    """

    __tablename__ = "items"
    __table_args__ = (
        one_of("state", ITEM_STATES),
        UniqueConstraint("batch_id", "custom_id"),
        Index(None, "batch_id", "state", "id"),
        Index(None, "shard_id"),
        Index(None, "image_id"),
        Index(None, "attribution_id"),
        CheckConstraint("(state = 'failed') = (error_code IS NOT NULL)", name="failed_has_code"),
        CheckConstraint(
            "(state = 'succeeded') = (attribution_id IS NOT NULL)", name="succeeded_has_attribution"
        ),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    custom_id: Mapped[str]
    file_name: Mapped[str | None]  # as the client gave it; shown, never trusted
    state: Mapped[str] = mapped_column(server_default="pending")
    image_id: Mapped[UUID | None] = mapped_column(ForeignKey("images.id"))
    staged_sha256: Mapped[str | None]
    shard_id: Mapped[UUID | None] = mapped_column(ForeignKey("shards.id", ondelete="SET NULL"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    attribution_id: Mapped[UUID | None] = mapped_column(ForeignKey("attributions.id"))
    created_at: Mapped[datetime] = created_now()
    finished_at: Mapped[datetime | None]


class ModelVersion(Base):
    """A model that some worker has loaded and whose self-test passed."""

    __tablename__ = "model_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[dict[str, Any]]
    classes: Mapped[list[str]]
    embedding_dim: Mapped[int]
    # The last of them, for classes to come.
    kept_dim: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    registered_at: Mapped[datetime] = created_now()
    retired_at: Mapped[datetime | None]  # its embeddings are not searched any more

    @hybrid_property
    def judged_dim(self) -> int:
        """How many of an embedding's numbers, the first ones, distances go by."""
        return self.embedding_dim - self.kept_dim


class Attribution(Base):
    """What a model and a density version say of one image. Self-contained: it names all that made it.

    `embedding` has no fixed dimension: models differ, and each model version gets a partial index with its own.
    """

    __tablename__ = "attributions"
    __table_args__ = (
        one_of("verdict", VERDICTS),
        UniqueConstraint("image_id", "model_version", "density_version"),
        Index(None, "model_version", "density_version"),
        Index(
            "ix_attributions_unnamed",
            "model_version",
            "verdict",
            "id",
            postgresql_where=text("verdict <> 'generator'"),
        ),
        Index("ix_attributions_review", "tenant_id", "verdict", "id"),
        Index("ix_attributions_generator", "tenant_id", "model_version", "generator", "p_value"),
        ForeignKeyConstraint(
            ["density_version", "model_version"],
            ["density_versions.version", "density_versions.model_version"],
        ),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = _tenant()
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    density_version: Mapped[str]
    verdict: Mapped[str]
    generator: Mapped[str | None]
    p_value: Mapped[float] = mapped_column(Float(53))
    smallest_p: Mapped[float] = mapped_column(Float(53))
    alpha: Mapped[float] = mapped_column(Float(53))
    reason: Mapped[str]
    probabilities: Mapped[dict[str, Any]]
    p_values: Mapped[dict[str, Any]]
    calibration: Mapped[dict[str, Any] | None]  # what they were measured against; null: before strata
    explanation: Mapped[dict[str, Any]]
    extended: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    timings: Mapped[dict[str, Any]]  # seconds a stage: fetch, decode, attribute
    embedding: Mapped[Any | None] = mapped_column(Vector())  # null: let go for its age
    gate: Mapped[Any | None] = mapped_column(HALFVEC())  # what the head weighs the embedding by
    created_at: Mapped[datetime] = created_now()


class Worker(Base):
    """A worker process that has passed its self-test; alive while `seen_at` is recent."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    density_version: Mapped[str]
    device: Mapped[str]
    started_at: Mapped[datetime] = created_now()
    seen_at: Mapped[datetime] = created_now()


class IdempotencyKey(Base):
    """The stored answer of a creating request; `status` is null while it is in flight."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    payload_sha256: Mapped[str]
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime] = mapped_column(index=True)


class TidyRun(Base):
    """One look through the object store for objects that no row names, and where the next one goes on."""

    __tablename__ = "tidy_runs"

    id: Mapped[UUID] = uuid7_key()
    examined: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[int] = mapped_column(BigInteger)
    last_key: Mapped[str]  # empty: the end was reached, so the next run begins anew
    at: Mapped[datetime] = created_now()


class AuditEvent(Base):
    """Who did what, append-only: a trigger refuses updates and deletes."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "tenant_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    actor: Mapped[str]  # "key:<public_id>", "operator:<name>", "cli" or "system"
    action: Mapped[str]  # for example "batch.cancelled"
    subject: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    at: Mapped[datetime] = created_now()
