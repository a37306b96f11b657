"""An engine on the module's own migrated database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Disposed of at the end, so that the database can be dropped."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()
