"""The index over the embeddings of one model: made when the model is registered, dropped when it is retired.

One partial HNSW index a model version, since vectors of two models must never be compared, over the numbers that the
model goes by, in half precision, which halves it. Built and dropped concurrently, so nobody is stopped from writing.
Knows nothing of how it is searched.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from leaktrace.records.database import DatabaseUnavailable
from leaktrace.records.locks import EMBEDDING_INDEX_LOCK

INDEX_PREFIX = "ix_embedding_"  # the migrations leave such indexes alone
IDENTIFIER_BYTES = 63
LOCK_POLL_SECONDS = 0.2


def ensure_embedding_index(engine: Engine, version: str, *, embedding_dim: int, judged_dim: int) -> None:
    """Build the HNSW index (Euclidean distance) over one model's embeddings where it is not yet.

    It holds the first `judged_dim` of their `embedding_dim` numbers, as `nearest.nearest_rows` compares them.
    One builder at a time. A build that was interrupted left an invalid index behind, which is built anew.

    Raises:
        DatabaseUnavailable: the connection could not be made or broke; a second call completes what is half done.
    """
    name = index_name(version)
    with _alone(engine) as connection:
        if _is_usable(connection, name):
            return
        _run(connection, "DROP INDEX IF EXISTS {}", sql.Identifier(name))
        _run(
            connection,
            "CREATE INDEX CONCURRENTLY {} ON attributions USING hnsw (({}::halfvec({})) halfvec_l2_ops) "
            "WHERE model_version = {}",
            sql.Identifier(name),
            _judged_part(embedding_dim, judged_dim),
            sql.Literal(judged_dim),
            sql.Literal(version),
        )


def drop_embedding_index(engine: Engine, version: str) -> None:
    """Drop one model's index, if it has one.

    Raises:
        DatabaseUnavailable: the connection could not be made or broke; call again.
    """
    with _alone(engine) as connection:
        _run(connection, "DROP INDEX CONCURRENTLY IF EXISTS {}", sql.Identifier(index_name(version)))


def index_name(version: str) -> str:
    """Readable where it fits into an identifier; otherwise the version is cut and its hash is added."""
    name = INDEX_PREFIX + version
    if len(name) <= IDENTIFIER_BYTES:
        return name
    digest = hashlib.sha256(version.encode()).hexdigest()[:12]
    return f"{name[: IDENTIFIER_BYTES - 13]}_{digest}"


def _judged_part(embedding_dim: int, judged_dim: int) -> sql.Composable:
    if judged_dim == embedding_dim:
        return sql.SQL("embedding")
    return sql.SQL("subvector(embedding, 1, {})").format(sql.Literal(judged_dim))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection outside any transaction that holds the lock of index builders, and has all the time it needs."""
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                connection.execute(text("SET statement_timeout = 0"))
                _wait_for_lock(connection)
                yield connection
            finally:
                connection.invalidate()  # ends the session, and with it the lock and the setting
    except OperationalError as error:
        raise DatabaseUnavailable(f"the database did not answer: {error.orig}") from error


def _wait_for_lock(connection: Connection) -> None:
    # Polled: a statement that waits for the lock would hold a snapshot, for which the concurrent build waits in turn.
    locked = text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(locked, {"key": EMBEDDING_INDEX_LOCK}).scalar_one():
        time.sleep(LOCK_POLL_SECONDS)


def _is_usable(connection: Connection, name: str) -> bool:
    """Whether it is there, whole, and in half precision."""
    found = text(
        "SELECT indisvalid AND strpos(pg_get_indexdef(indexrelid), 'halfvec_l2_ops') > 0 "
        "FROM pg_index WHERE indexrelid = to_regclass(quote_ident(:name))"
    )
    return bool(connection.execute(found, {"name": name}).scalar_one_or_none())


def _run(connection: Connection, statement: str, *parts: sql.Composable) -> None:
    connection.exec_driver_sql(sql.SQL(statement).format(*parts).as_string())
