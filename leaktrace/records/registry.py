"""Which models exist, with their index, and which workers run them.

Each model version has a partial index over its own embeddings alone, since vectors of two models must never be
compared. It is built concurrently, so registering a model stops nobody from writing.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Engine, delete, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from leaktrace.errors import InvalidInput
from leaktrace.records.database import DatabaseUnavailable
from leaktrace.records.locks import EMBEDDING_INDEX_LOCK
from leaktrace.records.models import ModelVersion, Worker

INDEX_PREFIX = "ix_embedding_"  # the migrations leave such indexes alone
IDENTIFIER_BYTES = 63
LOCK_POLL_SECONDS = 0.2
MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def register_model(
    session: Session, version: str, *, card: Mapping[str, Any], classes: Sequence[str], embedding_dim: int
) -> None:
    """Record a model version once; it never changes, since its name holds its hash.

    Raises:
        InvalidInput: the version cannot stand in keys and index names.
    """
    if not MODEL_VERSION.fullmatch(version):
        raise InvalidInput(f"model version {version!r}: use letters, digits, '.', '_' and '-' alone")
    row = {"version": version, "card": card, "classes": list(classes), "embedding_dim": embedding_dim}
    session.execute(insert(ModelVersion).values(row).on_conflict_do_nothing(index_elements=["version"]))


def ensure_embedding_index(engine: Engine, version: str, *, embedding_dim: int) -> None:
    """Build the HNSW index (Euclidean distance) over one model's embeddings where it is not yet.

    Runs outside any transaction, as a concurrent build must; one builder at a time. A build that was interrupted left
    an invalid index behind, which is built anew.

    Raises:
        DatabaseUnavailable: the connection could not be made or broke; a second call completes what is half done.
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                connection.execute(text("SET statement_timeout = 0"))
                _wait_for_lock(connection)
                _build_index(connection, version, embedding_dim=embedding_dim)
            finally:
                connection.invalidate()  # ends the session, and with it the lock and the setting
    except OperationalError as error:
        raise DatabaseUnavailable(f"the database did not answer: {error.orig}") from error


def index_name(version: str) -> str:
    """Readable where it fits into an identifier; otherwise the version is cut and its hash is added."""
    name = INDEX_PREFIX + version
    if len(name) <= IDENTIFIER_BYTES:
        return name
    digest = hashlib.sha256(version.encode()).hexdigest()[:12]
    return f"{name[: IDENTIFIER_BYTES - 13]}_{digest}"


def register_worker(
    session: Session, worker_id: str, *, model_version: str, density_version: str, device: str
) -> None:
    """Record that a worker has passed its self-test, or that it is alive and what it runs now."""
    row = {
        "id": worker_id,
        "model_version": model_version,
        "density_version": density_version,
        "device": device,
    }
    seen = {"density_version": density_version, "seen_at": func.now()}
    session.execute(insert(Worker).values(row).on_conflict_do_update(index_elements=["id"], set_=seen))


def note_worker_alive(session: Session, worker_id: str, *, density_version: str) -> None:
    """Touch `seen_at`; does nothing for a worker that is not registered."""
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(seen_at=func.now(), density_version=density_version)
    )


def remove_worker(session: Session, worker_id: str) -> None:
    """Forget a worker that stopped in good order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def _wait_for_lock(connection: Connection) -> None:
    # Polled: a statement that waits for the lock would hold a snapshot, for which the concurrent build waits in turn.
    locked = text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(locked, {"key": EMBEDDING_INDEX_LOCK}).scalar_one():
        time.sleep(LOCK_POLL_SECONDS)


def _build_index(connection: Connection, version: str, *, embedding_dim: int) -> None:
    name = index_name(version)
    if _is_valid(connection, name):
        return
    connection.exec_driver_sql(_compose("DROP INDEX IF EXISTS {}", sql.Identifier(name)))
    connection.exec_driver_sql(
        _compose(
            "CREATE INDEX CONCURRENTLY {} ON attributions USING hnsw ((embedding::vector({})) vector_l2_ops) "
            "WHERE model_version = {}",
            sql.Identifier(name),
            sql.Literal(embedding_dim),
            sql.Literal(version),
        )
    )


def _is_valid(connection: Connection, name: str) -> bool:
    found = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(:name))")
    return bool(connection.execute(found, {"name": name}).scalar_one_or_none())


def _compose(statement: str, *parts: sql.Composable) -> str:
    return sql.SQL(statement).format(*parts).as_string()
