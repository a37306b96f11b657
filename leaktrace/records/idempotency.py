"""Stored answers of creating requests, so that asking twice does the work once.

The answer is stored in the transaction that did the work: both stand or neither does. While that transaction runs, an
advisory lock marks the key as in flight; a crash releases it with the transaction, so no key can be stuck.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, InvalidInput
from leaktrace.records.models import IdempotencyKey


class IdempotencyKeyInFlight(Conflict):
    """The first request with this key has not been answered yet; wait for it, then ask again."""

    code = "idempotency_key_in_flight"


class IdempotencyKeyReused(InvalidInput):
    """The key was used for another request; a new request needs a new key."""

    code = "idempotency_key_reused"


@dataclass(frozen=True)
class KeyedRequest:
    """A request under an idempotency key; a key is scoped to its tenant and route."""

    tenant_id: UUID
    route: str
    key: str
    payload_sha256: str


@dataclass(frozen=True)
class StoredAnswer:
    """What was answered the first time."""

    status: int
    headers: dict[str, Any]
    body: dict[str, Any]


def find_answer(session: Session, request: KeyedRequest) -> StoredAnswer | None:
    """The answer to give again; None when the caller is the first and must do the work in this transaction.

    Raises:
        IdempotencyKeyInFlight: another transaction is doing the work.
        IdempotencyKeyReused: the key was used with another payload.
    """
    name = f"idempotency:{request.tenant_id}:{request.route}:{request.key}"
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
    if not session.execute(select(lock)).scalar_one():
        raise IdempotencyKeyInFlight("a request with this Idempotency-Key is in flight; ask again shortly")
    stored = session.get(IdempotencyKey, (request.tenant_id, request.route, request.key))
    if stored is None or stored.status is None or stored.expires_at <= datetime.now(UTC):
        return None
    if stored.payload_sha256 != request.payload_sha256:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another payload; make a new key")
    return StoredAnswer(status=stored.status, headers=stored.headers or {}, body=stored.body or {})


def store_answer(session: Session, request: KeyedRequest, *, answer: StoredAnswer, keep_hours: int) -> None:
    """Keep the answer beside the work, and forget those of the tenant whose time is over."""
    session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.tenant_id == request.tenant_id, IdempotencyKey.expires_at <= func.now()
        )
    )
    values = {
        "payload_sha256": request.payload_sha256,
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "created_at": func.now(),
        "expires_at": datetime.now(UTC) + timedelta(hours=keep_hours),
    }
    identity = {"tenant_id": request.tenant_id, "route": request.route, "key": request.key}
    session.execute(insert(IdempotencyKey).values(**identity, **values))
