"""API keys against a real Postgres: only a whole, live key finds its caller."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from leaktrace.errors import InvalidInput
from leaktrace.records.database import DatabaseUnavailable, check_database, transaction
from leaktrace.records.keys import create_key, ensure_tenant, find_caller, list_keys, revoke_key
from leaktrace.records.models import ApiKey, AuditEvent


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with transaction(engine) as session:
        yield session


def new_key(session: Session, **options: object) -> str:
    key = create_key(session, ensure_tenant(session, "acme"), name="k", **options)  # type: ignore[arg-type]
    session.flush()
    return key


def test_whole_key_finds_caller(session: Session) -> None:
    caller = find_caller(session, new_key(session, scopes=("batches:read",)))
    assert caller is not None
    assert caller.scopes == {"batches:read"}


def test_wrong_secret_finds_nobody(session: Session) -> None:
    key = new_key(session)
    assert find_caller(session, key[:-1] + ("A" if key[-1] != "A" else "B")) is None


def test_expired_key_finds_nobody(session: Session) -> None:
    assert find_caller(session, new_key(session, expires_at=datetime.now(UTC) - timedelta(seconds=1))) is None


def test_revoked_key_finds_nobody(session: Session) -> None:
    key = new_key(session)
    assert revoke_key(session, key.split("_")[2])
    assert find_caller(session, key) is None


def test_second_revocation_says_so(session: Session) -> None:
    public_id = new_key(session).split("_")[2]
    assert [revoke_key(session, public_id), revoke_key(session, public_id)] == [True, False]


def test_secret_is_never_stored(session: Session) -> None:
    secret = new_key(session).split("_", 3)[3]
    rows = session.scalars(select(ApiKey)).all()
    assert rows
    assert not any(secret.encode() in row.secret_sha256 or secret in row.public_id for row in rows)


def test_unknown_scope_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="unknown scopes everything"):
        new_key(session, scopes=("everything",))


def test_creation_is_audited(session: Session) -> None:
    public_id = new_key(session).split("_")[2]
    event = session.scalars(select(AuditEvent).where(AuditEvent.subject == public_id)).one()
    assert event.action == "key.created"


def test_keys_are_listed_newest_first(session: Session) -> None:
    tenant_id = ensure_tenant(session, "lister")
    for name in ("first", "second"):
        create_key(session, tenant_id, name=name)
        session.flush()
    assert [key.name for key in list_keys(session, tenant_id)] == ["second", "first"]


def test_tenant_is_made_once(session: Session) -> None:
    assert ensure_tenant(session, "once") == ensure_tenant(session, "once")


def test_absent_database_is_unavailable() -> None:
    engine = create_engine(
        "postgresql+psycopg://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 2}
    )
    with pytest.raises(DatabaseUnavailable, match="did not answer"):
        check_database(engine)
