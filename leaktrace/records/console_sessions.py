"""Who is signed in to the console, and how often somebody failed to: begun, found, ended, counted, purged.

A session is found by the hash of its cookie and is worth what its operator or key is worth now: it ends the moment
they are disabled or revoked. Nothing here knows of cookies.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from leaktrace.records.console_models import ConsoleSession, Operator, SignInAttempt
from leaktrace.records.keys import Caller, caller_of, is_live
from leaktrace.records.models import ApiKey, Tenant
from leaktrace.records.operators import ROLE_SCOPES

SEEN_RESOLUTION = timedelta(minutes=1)
THROTTLE_WINDOW = timedelta(minutes=15)
FAILURES_OF_NAME_AT_ADDRESS = 5
FAILURES_OF_ADDRESS = 30
FAILURES_OF_NAME = 100


@dataclass(frozen=True)
class Visitor:
    """Whoever is signed in: what they may do, and how the console names them."""

    caller: Caller
    name: str
    role: str  # one of the roles, or "API key"
    tenant_name: str


@dataclass(frozen=True)
class Lifetime:
    """How long a session lasts: at rest, and at all."""

    idle: timedelta
    absolute: timedelta


def begin_session(session: Session, owner: Operator | ApiKey, *, lifetime: Lifetime) -> str:
    """Record a session and return its token, which is the cookie and is not kept."""
    token = secrets.token_urlsafe(32)
    session.add(
        ConsoleSession(
            token_sha256=_digest(token),
            operator_id=owner.id if isinstance(owner, Operator) else None,
            api_key_id=owner.id if isinstance(owner, ApiKey) else None,
            expires_at=datetime.now(UTC) + lifetime.absolute,
        )
    )
    return token


def find_visitor(session: Session, token: str, *, lifetime: Lifetime) -> Visitor | None:
    """Who the cookie belongs to; None when it is unknown, out of time, or its owner is no longer welcome."""
    statement = (
        select(ConsoleSession, Operator, ApiKey, Tenant.name)
        .outerjoin(Operator, ConsoleSession.operator_id == Operator.id)
        .outerjoin(ApiKey, ConsoleSession.api_key_id == ApiKey.id)
        .join(Tenant, Tenant.id == func.coalesce(Operator.tenant_id, ApiKey.tenant_id))
        .where(
            ConsoleSession.token_sha256 == _digest(token),
            ConsoleSession.expires_at > func.now(),
            ConsoleSession.seen_at > func.now() - lifetime.idle,
        )
    )
    found = session.execute(statement).one_or_none()
    if found is None:
        return None
    kept, operator, key, tenant_name = found
    _note_visit(session, kept)
    if operator is not None:
        return _operator_visit(operator, tenant_name)
    return Visitor(caller_of(key), key.name, "API key", tenant_name) if is_live(key) else None


def end_session(session: Session, token: str) -> None:
    """Sign out; a token that is not known is no error."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.token_sha256 == _digest(token)))


def begin_attempt(session: Session, *, name: str, address: str) -> bool:
    """Count an attempt before it is judged; False when too many failed lately, and then it is not to be judged.

    One address can lock a name only for itself; the bound on a name from anywhere is wide: it locks out the owner.
    """
    # One at a time, so that attempts sent together cannot all be let through before the first is counted.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("console-sign-in", 0))))
    here, of_name = SignInAttempt.address == address, SignInAttempt.name == name
    statement = select(
        func.count().filter(here, of_name), func.count().filter(here), func.count().filter(of_name)
    ).where(SignInAttempt.at > func.now() - THROTTLE_WINDOW, or_(here, of_name))
    both, at_address, by_name = session.execute(statement).one()
    if (
        both >= FAILURES_OF_NAME_AT_ADDRESS
        or at_address >= FAILURES_OF_ADDRESS
        or by_name >= FAILURES_OF_NAME
    ):
        return False
    session.add(SignInAttempt(name=name, address=address))
    return True


def forget_attempts(session: Session, *, name: str, address: str) -> None:
    """What a success does to the failures before it."""
    session.execute(delete(SignInAttempt).where(SignInAttempt.name == name, SignInAttempt.address == address))


def purge_sessions(session: Session) -> int:
    """Remove sessions that are over and attempts that no longer count; returns how many sessions."""
    session.execute(delete(SignInAttempt).where(SignInAttempt.at < func.now() - THROTTLE_WINDOW))
    over = delete(ConsoleSession).where(ConsoleSession.expires_at < func.now())
    return len(session.scalars(over.returning(ConsoleSession.token_sha256)).all())


def _operator_visit(operator: Operator, tenant_name: str) -> Visitor | None:
    if operator.disabled_at is not None:
        return None
    caller = Caller(operator.tenant_id, operator.name, ROLE_SCOPES[operator.role], kind="operator")
    return Visitor(caller, operator.name, operator.role, tenant_name)


def _note_visit(session: Session, kept: ConsoleSession) -> None:
    now = datetime.now(UTC)
    if now - kept.seen_at > SEEN_RESOLUTION:
        session.execute(
            update(ConsoleSession).where(ConsoleSession.token_sha256 == kept.token_sha256).values(seen_at=now)
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
