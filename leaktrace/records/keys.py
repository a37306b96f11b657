"""Tenants and their API keys: made, found by the presented key, revoked.

A key reads `lk_live_<public id>_<secret>`. The secret has 256 random bits, so a plain SHA-256 of it is safe to keep;
it is compared in constant time. Scopes are listed in `SCOPES`.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.errors import InvalidInput, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.models import ApiKey, Tenant

Scope = Literal[
    "batches:read",
    "batches:write",
    "results:read",
    "generators:read",
    "generators:write",
    "labels:write",
    "density:read",
    "density:write",
    "webhooks:read",
    "webhooks:write",
    "tenant:admin",
    "service:admin",
]
GRANTABLE_SCOPES: tuple[Scope, ...] = get_args(Scope)
# What no key has unless it was asked for by name: to give out a tenant's keys and read its audit trail, and what only
# those who run the service may do.
TENANT_ADMIN: Scope = "tenant:admin"
SERVICE_ADMIN: Scope = "service:admin"
SCOPES = tuple(scope for scope in GRANTABLE_SCOPES if scope not in (TENANT_ADMIN, SERVICE_ADMIN))
PRESENTED_KEY = re.compile(r"lk_live_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
LAST_USE_RESOLUTION = timedelta(minutes=1)


class KeyNotFound(NotFound):
    """The tenant has no such key."""

    code = "key_not_found"


@dataclass(frozen=True)
class Caller:
    """Who is calling, as far as the presented key or the console's session proves."""

    tenant_id: UUID
    public_id: str  # of the key, or the operator's name
    scopes: frozenset[str]
    kind: Literal["key", "operator"] = "key"

    @property
    def actor(self) -> str:
        """The name under which the audit trail knows the caller."""
        return f"{self.kind}:{self.public_id}"


def ensure_tenant(session: Session, name: str) -> UUID:
    """The id of the tenant of this name, made when it does not exist."""
    session.execute(insert(Tenant).values(name=name).on_conflict_do_nothing(index_elements=["name"]))
    return session.execute(select(Tenant.id).where(Tenant.name == name)).scalar_one()


def name_of_tenant(session: Session, tenant_id: UUID) -> str:
    """The name of a tenant that exists."""
    return session.execute(select(Tenant.name).where(Tenant.id == tenant_id)).scalar_one()


def find_tenant(session: Session, name: str) -> UUID | None:
    """The id of the tenant of this name, if there is one."""
    return session.execute(select(Tenant.id).where(Tenant.name == name)).scalar_one_or_none()


def create_key(
    session: Session,
    tenant_id: UUID,
    *,
    name: str,
    scopes: tuple[str, ...] = SCOPES,
    expires_at: datetime | None = None,
    actor: str = "cli",
) -> str:
    """Record a new key and return it; it cannot be shown again.

    Raises:
        InvalidInput: a scope is unknown.
    """
    unknown = sorted(set(scopes) - set(GRANTABLE_SCOPES))
    if unknown:
        raise InvalidInput(f"unknown scopes {', '.join(unknown)}; choose from {', '.join(GRANTABLE_SCOPES)}")
    public_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            tenant_id=tenant_id,
            public_id=public_id,
            secret_sha256=_digest(secret),
            name=name,
            scopes=list(scopes),
            expires_at=expires_at,
        )
    )
    record_audit(
        session, "key.created", tenant_id=tenant_id, actor=actor, subject=public_id, scopes=list(scopes)
    )
    return f"lk_live_{public_id}_{secret}"


def find_caller(session: Session, presented: str) -> Caller | None:
    """The caller behind a presented key; None when it is malformed, unknown, wrong, expired or revoked."""
    key = find_key(session, presented)
    return caller_of(key) if key is not None else None


def find_key(session: Session, presented: str) -> ApiKey | None:
    """The live key that is presented, whose use is noted; None as for `find_caller`."""
    match = PRESENTED_KEY.fullmatch(presented)
    if match is None:
        return None
    key = session.execute(select(ApiKey).where(ApiKey.public_id == match[1])).scalar_one_or_none()
    stored = key.secret_sha256 if key is not None else bytes(32)
    if not hmac.compare_digest(stored, _digest(match[2])) or key is None or not is_live(key):
        return None
    _note_use(session, key)
    return key


def caller_of(key: ApiKey) -> Caller:
    """Whom a key that was checked stands for."""
    return Caller(tenant_id=key.tenant_id, public_id=key.public_id, scopes=frozenset(key.scopes))


def revoke_key(
    session: Session, public_id: str, *, actor: str = "cli", tenant_id: UUID | None = None
) -> bool:
    """Revoke at once, with `tenant_id` only that tenant's; False when there is no such key or it was revoked before."""
    statement = update(ApiKey).where(ApiKey.public_id == public_id, ApiKey.revoked_at.is_(None))
    if tenant_id is not None:
        statement = statement.where(ApiKey.tenant_id == tenant_id)
    revoked = session.execute(
        statement.values(revoked_at=datetime.now(UTC)).returning(ApiKey.tenant_id)
    ).scalar_one_or_none()
    if revoked is None:
        return False
    record_audit(session, "key.revoked", tenant_id=revoked, actor=actor, subject=public_id)
    return True


def list_keys(session: Session, tenant_id: UUID) -> list[ApiKey]:
    """All keys of a tenant, newest first."""
    return list(
        session.scalars(select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.id.desc()))
    )


def find_tenant_key(session: Session, tenant_id: UUID, *, public_id: str) -> ApiKey:
    """One key of a tenant, live or not.

    Raises:
        KeyNotFound
    """
    key = session.execute(
        select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.public_id == public_id)
    ).scalar_one_or_none()
    if key is None:
        raise KeyNotFound(f"there is no key {public_id}")
    return key


def is_live(key: ApiKey) -> bool:
    """Whether the key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > datetime.now(UTC))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _note_use(session: Session, key: ApiKey) -> None:
    # Once a minute is enough to see which keys are still used, and spares a write a request.
    now = datetime.now(UTC)
    if key.last_used_at is None or now - key.last_used_at > LAST_USE_RESOLUTION:
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
