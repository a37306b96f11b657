"""Looks through the object store, page after page, and deletes old objects that no row names.

A run looks at a part of the store and records where it ended, so that a store of any size is gone through in time. Only
objects past a grace period go: what is being uploaded has no row yet. One run at a time (advisory lock).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.objects import DENSITY_PREFIX, ObjectStore, StoredObject, owner_of
from leaktrace.records.database import transaction
from leaktrace.records.locks import TIDY_LOCK
from leaktrace.records.tidying import named_by, next_place, note_tidied, published_among, record_tidying
from worker.periodic import run_alone

OBJECTS_A_PAGE = 1_000
PAGES_A_RUN = 200

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tidier:
    """One run is one call of `run`."""

    engine: Engine
    store: ObjectStore
    grace: timedelta

    def run(self) -> bool:
        """Look through the next part of the store unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run looks at the same part again.
        """
        return run_alone(self.engine, TIDY_LOCK, self._look_through)

    def _look_through(self) -> None:
        with transaction(self.engine) as session:
            place = next_place(session)
        examined = deleted = 0
        for _ in range(PAGES_A_RUN):
            page = self.store.list_page(after=place, limit=OBJECTS_A_PAGE)
            deleted += self._tidy(page)
            examined += len(page)
            place = page[-1].key if page else ""
            if not page:
                break
        with transaction(self.engine) as session:
            record_tidying(session, examined=examined, deleted=deleted, last_key=place)
        if deleted:
            log.info("store_tidied", examined=examined, deleted=deleted)

    def _tidy(self, page: Sequence[StoredObject]) -> int:
        """Delete what is old and unnamed on a page; returns how many. Keys that are not ours are left alone."""
        latest = datetime.now(UTC) - self.grace
        old = [one.key for one in page if one.modified_at < latest]
        owned: dict[UUID, list[str]] = defaultdict(list)
        for key in old:
            if (tenant_id := owner_of(key)) is not None:
                owned[tenant_id].append(key)
        densities = [key for key in old if key.startswith(DENSITY_PREFIX)]
        deleted = sum(self._tidy_tenant(tenant_id, keys) for tenant_id, keys in owned.items())
        return deleted + self._tidy_densities(densities)

    def _tidy_tenant(self, tenant_id: UUID, keys: list[str]) -> int:
        with transaction(self.engine) as session:
            named = named_by(session, tenant_id, names={_name(key) for key in keys})
            unnamed = [key for key in keys if _name(key) not in named]
            if unnamed:
                note_tidied(session, tenant_id, objects=len(unnamed))
                self.store.delete(unnamed)
        return len(unnamed)

    def _tidy_densities(self, keys: list[str]) -> int:
        with transaction(self.engine) as session:
            unnamed = sorted(set(keys) - published_among(session, keys))
            if unnamed:
                note_tidied(session, None, objects=len(unnamed))
                self.store.delete(unnamed)
        return len(unnamed)


def _name(key: str) -> str:
    return key.rpartition("/")[2]
