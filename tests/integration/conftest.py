"""The real servers for the integration tests: started once a session, with a clean corner of each for every module.

A module gets a migrated database of its own (a copy of one that is migrated once), an empty broker and a new bucket, so
that no module sees what another left.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from deploy.embedded.servers import EmbeddedServers, remove_data
from deploy.embedded.stack import settings_from
from leaktrace.objects import S3ObjectStore, connect_store
from leaktrace.records.database import connect_database
from leaktrace.settings import Settings
from migrations.run import upgrade

PREFIX = "LEAKTRACE_"
TEMPLATE_DATABASE = "migrated"
SECRET_KEY = "key of the integration tests alone"


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """The three servers, on a temporary directory, for the whole session."""
    with tempfile.TemporaryDirectory(prefix="leaktrace-test-") as directory:
        data_dir = Path(directory) / "data"
        with EmbeddedServers(data_dir) as started:
            yield started
        remove_data(data_dir)


@pytest.fixture(scope="session")
def migrated_template(servers: EmbeddedServers) -> str:
    """Name of a database at the newest migration, to be copied and never connected to."""
    upgrade(servers.postgres.create_database(TEMPLATE_DATABASE))
    return TEMPLATE_DATABASE


@pytest.fixture(scope="module")
def database_url(servers: EmbeddedServers, migrated_template: str) -> Iterator[str]:
    """A migrated, empty database of this module alone, as SQLAlchemy writes its address."""
    name = f"test_{uuid4().hex}"
    yield servers.postgres.create_database(name, template=migrated_template)
    servers.postgres.drop_database(name)


@pytest.fixture(scope="module")
def empty_database_url(servers: EmbeddedServers) -> Iterator[str]:
    """A database of this module alone that no migration has touched."""
    name = f"test_{uuid4().hex}"
    yield servers.postgres.create_database(name)
    servers.postgres.drop_database(name)


@pytest.fixture(scope="module")
def broker_url(servers: EmbeddedServers) -> str:
    """The broker, emptied of what other modules left."""
    with redis.Redis.from_url(servers.valkey.url) as client:
        client.flushall()
    return servers.valkey.url


@pytest.fixture(scope="module")
def s3_bucket(servers: EmbeddedServers) -> str:
    """Name of a new, empty bucket."""
    name = f"test-{uuid4().hex}"
    servers.seaweed.create_bucket(name)
    return name


@pytest.fixture(scope="module")
def service_environment(
    servers: EmbeddedServers, database_url: str, broker_url: str, s3_bucket: str
) -> dict[str, str]:
    """The whole environment for a process of the service that works on this module's database, broker and bucket."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {
        "LEAKTRACE_DATABASE_URL": database_url,
        "LEAKTRACE_BROKER_URL": broker_url,
        "LEAKTRACE_S3_BUCKET": s3_bucket,
        "LEAKTRACE_SECRET_KEYS": SECRET_KEY,
    }
    return {**inherited, **servers.environment(), **own}


@pytest.fixture(scope="module")
def settings(service_environment: dict[str, str]) -> Settings:
    """The same as a `Settings` object, for code that runs in the test's own process."""
    return settings_from(service_environment)


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Iterator[Engine]:
    engine = connect_database(settings)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def store(settings: Settings) -> S3ObjectStore:
    return connect_store(settings)
