"""The API key that the embedded stack keeps for its own user: made once, kept private beside the data.

The file, `credentials.json` with `url` and `key`, is where the command line looks when it is told nothing else. The key
is the default tenant's. Knows nothing of processes.
"""

from pathlib import Path

from deploy.embedded.data_directory import read_json, write_private_json
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.keys import create_key, ensure_tenant, find_caller
from leaktrace.settings import Settings

CREDENTIALS_FILE = "credentials.json"
DEFAULT_TENANT = "default"


def keep_credentials(data_dir: Path, settings: Settings, *, api_url: str) -> str:
    """The key, which is made when the file has none that the database knows; the file then names `api_url` and it."""
    path = data_dir / CREDENTIALS_FILE
    key = _valid_or_new_key(settings, str(read_json(path).get("key", "")))
    write_private_json(path, {"url": api_url, "key": key})
    return key


def _valid_or_new_key(settings: Settings, known: str) -> str:
    engine = connect_database(settings)
    try:
        with transaction(engine) as session:
            if find_caller(session, known) is not None:
                return known
            tenant_id = ensure_tenant(session, DEFAULT_TENANT)
            return create_key(session, tenant_id, name="embedded stack", actor="embedded stack")
    finally:
        engine.dispose()
