"""The database's history (Alembic). README.md has the rules for a safe change."""
