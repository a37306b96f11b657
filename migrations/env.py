"""Runs the migrations against the database that the settings, or the caller, name.

A caller that already knows the address passes it as the config's `sqlalchemy.url`. An advisory lock lets several
processes start at once: one migrates, the others wait and find nothing to do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, text

from leaktrace.records import (  # noqa: F401 - their tables join Base's metadata
    console_models,
    drift_models,
    models,
    open_set_models,
    rescore_models,
    webhook_models,
)
from leaktrace.records.base import Base
from leaktrace.settings import load_settings

MIGRATION_LOCK = 7_201_001
LOOK_SECONDS = 0.2


def _is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    # The partial embedding indexes are made per model version when a model is registered.
    return not (kind == "index" and name is not None and name.startswith("ix_embedding_"))


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, include_object=_is_ours)
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Hold the lock on a connection of its own and in no transaction, since an index that is made CONCURRENTLY waits
    for every transaction that is open, also for one that waits for this lock."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        key = {"key": MIGRATION_LOCK}
        while not guard.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
            time.sleep(LOOK_SECONDS)
        yield
        guard.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _run() -> None:
    url = context.config.get_main_option("sqlalchemy.url") or load_settings().database_url.get_secret_value()
    engine = create_engine(url)
    with _alone(engine), engine.connect() as connection:
        _migrate(connection)
    engine.dispose()


_run()
