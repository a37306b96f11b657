"""What every table is declared with: names of constraints, zoned timestamps, ids that sort by age.

Ids are version 7 UUIDs made by Postgres 18, so they serve as page cursors. Knows nothing of any table.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, DateTime, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


class Base(DeclarativeBase):
    """Gives every constraint a predictable name, which migrations need, and every timestamp its zone."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        datetime: DateTime(timezone=True),
        str: Text,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


def uuid7_key() -> Mapped[UUID]:
    return mapped_column(primary_key=True, server_default=text("uuidv7()"))


def created_now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def first_id_at(moment: datetime) -> UUID:
    """The least version 7 UUID that could be made at that moment."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x8 << 60))
