"""Runs the migrations against the database that the settings, or the caller, name.

A caller that already knows the address passes it as the config's `sqlalchemy.url`. An advisory lock lets several
processes start at once: one migrates, the others wait and find nothing to do.
"""

from alembic import context
from sqlalchemy import Connection, create_engine, text

from leaktrace.records import (  # noqa: F401 - their tables join Base's metadata
    console_models,
    models,
    open_set_models,
    webhook_models,
)
from leaktrace.records.base import Base
from leaktrace.settings import load_settings

MIGRATION_LOCK = 7_201_001


def _is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    # The partial embedding indexes are made per model version when a model is registered.
    return not (kind == "index" and name is not None and name.startswith("ix_embedding_"))


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, include_object=_is_ours)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.run_migrations()


def _run() -> None:
    url = context.config.get_main_option("sqlalchemy.url") or load_settings().database_url.get_secret_value()
    engine = create_engine(url)
    with engine.connect() as connection:
        _migrate(connection)
    engine.dispose()


_run()
