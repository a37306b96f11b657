"""The tables of the console: who may sign in, who is signed in, and which attempts failed.

Apart from `models` because the service works without any of them. A session belongs to an operator or to an API key,
and ends with it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from leaktrace.records.base import Base, created_now, one_of, uuid7_key

ROLES = ("viewer", "moderator", "researcher", "admin")


class Operator(Base):
    """A person who may sign in to the console of a tenant with a password."""

    __tablename__ = "operators"
    __table_args__ = (one_of("role", ROLES), Index(None, "tenant_id"))

    id: Mapped[UUID] = uuid7_key()
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = created_now()
    disabled_at: Mapped[datetime | None]
    signed_in_at: Mapped[datetime | None]


class ConsoleSession(Base):
    """One signed-in browser; only the SHA-256 of its cookie is kept."""

    __tablename__ = "console_sessions"
    __table_args__ = (
        CheckConstraint("(operator_id IS NULL) <> (api_key_id IS NULL)", name="belongs_to_one"),
        Index(None, "operator_id"),
        Index(None, "api_key_id"),
        Index(None, "expires_at"),
    )

    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("operators.id", ondelete="CASCADE"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = created_now()
    seen_at: Mapped[datetime] = created_now()
    expires_at: Mapped[datetime]  # however busy it is


class SignInAttempt(Base):
    """An attempt that failed or is being judged, which counts against its name and its address for a while."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (Index(None, "name", "at"), Index(None, "address", "at"), Index(None, "at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    address: Mapped[str]
    at: Mapped[datetime] = created_now()
