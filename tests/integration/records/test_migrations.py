"""The migrations on a real Postgres: up from empty, down again, and in agreement with the models."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from leaktrace.records.audit import record_audit
from leaktrace.records.database import transaction
from migrations.run import config_for, downgrade, upgrade


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    downgrade(empty_database_url)
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_models_and_migrations_agree(engine: Engine, empty_database_url: str) -> None:
    assert "items" not in inspect(engine).get_table_names()
    upgrade(empty_database_url)
    command.check(config_for(empty_database_url))


def test_downgrade_leaves_no_table(engine: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    downgrade(empty_database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_concurrent_upgrades_do_not_clash(engine: Engine, empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: upgrade_in_process(empty_database_url), range(2)))
    assert "items" in inspect(engine).get_table_names()


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events"])
def test_audit_trail_refuses_change(engine: Engine, empty_database_url: str, statement: str) -> None:
    upgrade(empty_database_url)
    with transaction(engine) as session:
        record_audit(session, "test.done", tenant_id=None, actor="cli", subject="x", count=1)
    with pytest.raises(ProgrammingError, match="append-only"), transaction(engine) as session:
        session.execute(text(statement))


def upgrade_in_process(url: str) -> None:
    # Alembic keeps its context in module state, so that two upgrades need two processes.
    code = "import sys; from migrations.run import upgrade; upgrade(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, url], check=True)
