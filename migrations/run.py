"""Migrates from code, without a configuration file: `python -m migrations.run` and `upgrade(url)`.

The same function serves the embedded stack, the container that runs before the others, and the tests.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config


def config_for(database_url: str | None = None) -> Config:
    """Alembic's configuration; without an address the settings' one is used."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    if database_url is not None:
        config.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))
    return config


def upgrade(database_url: str | None = None, *, revision: str = "head") -> None:
    """Bring the database to `revision`; does nothing when it is there already."""
    command.upgrade(config_for(database_url), revision)


def downgrade(database_url: str | None = None, *, revision: str = "base") -> None:
    """Take the database back to `revision`. Rows of dropped tables are lost."""
    command.downgrade(config_for(database_url), revision)


if __name__ == "__main__":
    upgrade()
