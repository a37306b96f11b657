"""The key with which the demo calls the API: made for the run, for a tenant of its own, revoked afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaktrace.settings import Settings

TENANT = "demo"
KEY_HOURS = 24


@contextmanager
def demo_key(settings: "Settings") -> Iterator[str]:
    """A key that is good inside the block."""
    from leaktrace.records.database import connect_database, transaction
    from leaktrace.records.keys import create_key, ensure_tenant, revoke_key

    engine = connect_database(settings)
    try:
        with transaction(engine) as session:
            tenant_id = ensure_tenant(session, TENANT)
            expires_at = datetime.now(UTC) + timedelta(hours=KEY_HOURS)
            key = create_key(session, tenant_id, name="demo", expires_at=expires_at)
        yield key
        with transaction(engine) as session:
            revoke_key(session, key.split("_")[2])
    finally:
        engine.dispose()
