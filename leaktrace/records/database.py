"""How the database is reached: the engine and the one way to open a transaction.

A transaction is opened at an edge (one request, one task step) and committed there; queries never commit. Errors that
mean "the database is away" are translated here to `DatabaseUnavailable`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from leaktrace.errors import Unavailable
from leaktrace.settings import Settings

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 60
# A process that was stopped or cut off in the middle of a transaction gives up its locks after this long.
IDLE_TRANSACTION_SECONDS = 20


class DatabaseUnavailable(Unavailable):
    """Postgres did not answer or broke the connection; nothing was committed, so try again."""

    code = "database_unavailable"


def connect_database(settings: Settings) -> Engine:
    """The engine that the settings name. Opens no connection yet."""
    return create_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": " ".join(
                (
                    "-c timezone=utc",
                    f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s",
                    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_SECONDS}s",
                )
            ),
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session whose work is committed when the block ends and rolled back when it raises.

    Raises:
        DatabaseUnavailable: the connection could not be made or broke; nothing of the block was committed
            unless the break fell into the commit itself, so whatever runs in a block must be safe to run twice.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise DatabaseUnavailable(f"the database did not answer: {error.orig}") from error
        raise
    except PoolTimeout as error:
        raise DatabaseUnavailable("all connections to the database were busy for too long") from error


def check_database(engine: Engine) -> None:
    """Raise `DatabaseUnavailable` unless a statement comes back."""
    with transaction(engine) as session:
        session.execute(text("SELECT 1"))
