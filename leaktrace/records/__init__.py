"""The records: SQLAlchemy models and every query on them. Nothing outside this room writes SQL."""
