"""The tables of the open-set life cycle: what people say of images, and what becomes of images that nobody knows.

Apart from `models` because an image can be attributed without any of them. The same rules hold: every row that belongs
to a tenant carries its `tenant_id`, and what people decided is appended, never changed.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

LABEL_KINDS = ("confirm", "correct", "appeal", "withdraw")
QUARANTINE_STATES = ("held", "near", "over_cap", "enrolled", "dismissed", "named")
ENROLMENT_STATES = ("pending", "active", "refused", "withdrawing", "undone")
CANDIDATE_STATES = ("open", "enrolled", "dismissed", "gone")


class Label(Base):
    """What a person says of one content: append-only, a trigger refuses updates and deletes.

    Keyed by the content's hash and not by the image's row, so that it outlives the image's deletion and holds for the
    same bytes uploaded again. `generator` is null where the person says that no known generator made the image.
    A label of the kind "withdraw" takes another one back, which then counts as if it had not been said.
    """

    __tablename__ = "labels"
    __table_args__ = (
        one_of("kind", LABEL_KINDS),
        CheckConstraint("length(reason) > 0", name="has_reason"),
        CheckConstraint("(kind = 'withdraw') = (withdraws IS NOT NULL)", name="withdraws_one"),
        Index(None, "tenant_id", "sha256", "id"),
        Index("ix_labels_corrections", "tenant_id", "id", postgresql_where=text("kind <> 'appeal'")),
        Index("ix_labels_trusted", "id", postgresql_where=text("trusted")),
        Index("ix_labels_appeals", "tenant_id", "id", postgresql_where=text("kind = 'appeal'")),
        Index("ix_labels_withdraws", "withdraws", postgresql_where=text("withdraws IS NOT NULL")),
        Index("ix_labels_bulk_id", "bulk_id", postgresql_where=text("bulk_id IS NOT NULL")),
        Index(None, "tenant_id", "actor", "id"),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    sha256: Mapped[str]
    kind: Mapped[str]
    generator: Mapped[str | None]
    reason: Mapped[str]
    actor: Mapped[str]  # "key:<public_id>" or "operator:<name>"
    # Said by somebody whom the service's operators trust, so that it may change the density that judges everybody.
    trusted: Mapped[bool] = mapped_column(server_default=text("false"))
    attribution_id: Mapped[UUID | None]  # what the person looked at; it may be deleted with its image
    model_version: Mapped[str | None]
    density_version: Mapped[str | None]
    verdict: Mapped[str | None]  # the model's own, at that time
    withdraws: Mapped[UUID | None]  # the label that this one takes back
    bulk_id: Mapped[UUID | None]  # shared by labels that were given to many images at once
    created_at: Mapped[datetime] = created_now()


class ReviewClaim(Base):
    """An image that lies before one reviewer, whom the row keeps it for until `expires_at`; no other gets it.

    With `skipped_at` it is no claim any more, and says that the reviewer left the image to others.
    """

    __tablename__ = "review_claims"
    __table_args__ = (
        Index(
            "uq_review_claims_image_id", "image_id", unique=True, postgresql_where=text("skipped_at IS NULL")
        ),
        Index(
            "ix_review_claims_skipped", "image_id", "actor", postgresql_where=text("skipped_at IS NOT NULL")
        ),
        Index(None, "tenant_id", "actor"),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    actor: Mapped[str]
    expires_at: Mapped[datetime]
    skipped_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created_now()


class QuarantinedImage(Base):
    """An image that its model put no name to, or that a person called unknown, kept apart until a person decides.

    Once an image and model version. Only `held` ones are clustered, and only once `matures_at` has passed. `near` ones
    are near copies of a held one (`copy_of`); `over_cap` ones came when their tenant, batch or day had had its share;
    `named` ones are left out while a person says which known generator made them.
    """

    __tablename__ = "quarantine"
    __table_args__ = (
        one_of("state", QUARANTINE_STATES),
        UniqueConstraint("image_id", "model_version"),
        Index("ix_quarantine_held", "tenant_id", "model_version", postgresql_where=text("state = 'held'")),
        Index(None, "tenant_id", "batch_id"),
        Index(None, "candidate_id"),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    attribution_id: Mapped[UUID] = mapped_column(ForeignKey("attributions.id", ondelete="CASCADE"))
    batch_id: Mapped[UUID | None]  # in which it was seen first
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str]
    copy_of: Mapped[UUID | None] = mapped_column(ForeignKey("quarantine.id", ondelete="SET NULL"))
    candidate_id: Mapped[UUID | None] = mapped_column(ForeignKey("candidates.id", ondelete="SET NULL"))
    matures_at: Mapped[datetime]
    created_at: Mapped[datetime] = created_now()


class Candidate(Base):
    """A group in a tenant's quarantine that may be a generator without a name. It lives on from run to run."""

    __tablename__ = "candidates"
    __table_args__ = (
        one_of("state", CANDIDATE_STATES),
        Index("ix_candidates_open", "tenant_id", "model_version", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    state: Mapped[str] = mapped_column(server_default="open")
    size: Mapped[int]
    previous_size: Mapped[int]  # at the run before: the difference is its growth
    runs: Mapped[int] = mapped_column(server_default=text("1"))  # in which it was found
    medoids: Mapped[list[str]]  # image ids, the most typical first
    nearest_generator: Mapped[str]
    novelty: Mapped[float] = mapped_column(Float(53))
    stability: Mapped[float] = mapped_column(Float(53))
    confidence: Mapped[float] = mapped_column(Float(53))
    sources: Mapped[dict[str, Any]]  # how many batches, days and formats its images come from
    created_at: Mapped[datetime] = created_now()
    seen_at: Mapped[datetime] = created_now()


class DiscoveryRun(Base):
    """The newest look for groups among a tenant's held images by a model."""

    __tablename__ = "discovery_runs"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    images: Mapped[int]
    candidates: Mapped[int]
    at: Mapped[datetime] = created_now()


class EmbeddingMap(Base):
    """A tenant's embeddings by one model, laid out in the plane; only the newest is kept.

    `asked_at` is set until a worker has drawn what was asked for. `points` are [image id, x, y], x and y from 0 to 1.
    """

    __tablename__ = "embedding_maps"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    points: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    images: Mapped[int] = mapped_column(server_default=text("0"))  # of which the points are a sample
    asked_at: Mapped[datetime | None]
    drawn_at: Mapped[datetime | None]


class Enrolment(Base):
    """A generator that a person named, and how far it got. One change may enrol several and replace others.

    A `shared` one is a promotion: the tenant's generator becomes everybody's.
    """

    __tablename__ = "enrolments"
    __table_args__ = (
        one_of("state", ENROLMENT_STATES),
        Index("ix_enrolments_standing", "tenant_id", "model_version", "state"),
        Index("ix_enrolments_open", "id", postgresql_where=text("state IN ('pending', 'withdrawing')")),
        Index("ix_enrolments_shared", "model_version", "state", postgresql_where=text("shared")),
    )

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    change_id: Mapped[UUID]  # those of one change stand or fall together
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")
    shared: Mapped[bool] = mapped_column(server_default=text("false"))
    replaces: Mapped[list[str]]  # ids of the enrolments that it takes the place of
    candidate_id: Mapped[UUID | None] = mapped_column(ForeignKey("candidates.id"))
    density_version: Mapped[str | None] = mapped_column(ForeignKey("density_versions.version"))
    gates: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    reason: Mapped[str]  # the person's
    outcome: Mapped[str | None]  # in words, once decided
    actor: Mapped[str]
    created_at: Mapped[datetime] = created_now()
    decided_at: Mapped[datetime | None]


class EnrolledImage(Base):
    """One example of an enrolled generator; it goes when the image is deleted."""

    __tablename__ = "enrolled_images"
    __table_args__ = (Index(None, "image_id"),)

    enrolment_id: Mapped[UUID] = mapped_column(
        ForeignKey("enrolments.id", ondelete="CASCADE"), primary_key=True
    )
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
