"""Carries out the deletions that the API accepted: rows and objects of a few hundred items at a time.

Each part is a transaction of its own, so uploads of the same tenant wait for one part and not for the batch, and a
worker that dies leaves a deletion that the next run goes on with. One run at a time (advisory lock).
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore, image_key, staged_key, thumbnail_key
from leaktrace.records.database import transaction
from leaktrace.records.deletion import DeletedPart, delete_part, find_deleting
from leaktrace.records.locks import DELETION_LOCK
from worker.periodic import run_alone

PARTS_A_RUN = 2_000

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Deleter:
    """One run is one call of `run`."""

    engine: Engine
    store: ObjectStore
    items_at_once: int = 500

    def run(self) -> bool:
        """Delete what was accepted, unless somebody else does so just now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run goes on with the part that was begun.
        """
        return run_alone(self.engine, DELETION_LOCK, self._delete_accepted)

    def _delete_accepted(self) -> None:
        left = PARTS_A_RUN
        with transaction(self.engine) as session:
            batch_ids = find_deleting(session)
        for batch_id in batch_ids:
            left -= self._delete(batch_id, most=left)

    def _delete(self, batch_id: UUID, *, most: int) -> int:
        """Delete at most so many parts of a batch; returns how many there were."""
        for number in range(most):
            with transaction(self.engine) as session:
                part = delete_part(session, batch_id, items_at_once=self.items_at_once)
                if part is not None:
                    self.store.delete(_keys(part))
            if part is None or part.is_last:
                log.info("batch_deleted", batch_id=str(batch_id), parts=number + 1)
                return number + 1
        return most


def _keys(part: DeletedPart) -> list[str]:
    of_images = [key(part.tenant_id, sha256) for sha256 in part.sha256s for key in (image_key, thumbnail_key)]
    return of_images + [staged_key(part.tenant_id, item_id) for item_id in part.staged_item_ids]
