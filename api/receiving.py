"""Taking in the files of one multipart request: spool, judge, store, record, and answer each for itself.

Files are stored a few at a time while the next ones arrive, and recorded in groups, so that memory stays flat and a
client that vanishes midway loses only what had not fully arrived. Sending a file again is harmless.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from anyio import to_thread
from sqlalchemy.orm import Session

from api.arrivals import Arrival
from api.dependencies import Services
from api.errors import MalformedMultipart, TooManyFiles
from api.multipart import Event, MultipartStream, PartBegin, PartData
from api.schemas import FileAnswer
from api.spool import Spool
from leaktrace.objects import image_key
from leaktrace.records.audit import record_audit
from leaktrace.records.database import transaction
from leaktrace.records.items import Offer, Outcome, hold_tenant
from leaktrace.records.keys import Caller
from leaktrace.records.uploads import UploadLimits, count_deletions, find_unused, record_uploads

FIELD_NAME = "files"
RECORDED_TOGETHER = 128
STORED_AT_ONCE = 4
ANY_CONTENT_TYPE = "application/octet-stream"  # what the client declares is not believed


class Intake:
    """Receives the files of one request into one batch."""

    def __init__(self, services: Services, caller: Caller, *, batch_id: UUID) -> None:
        self._services = services
        self._tenant_id = caller.tenant_id
        self._batch_id = batch_id
        self._places = asyncio.Semaphore(STORED_AT_ONCE)
        self._arriving: Arrival | None = None
        self._group: list[Arrival] = []
        self._answers: list[FileAnswer] = []
        self._deletions = 0

    async def receive(self, chunks: AsyncIterator[bytes], *, content_type: str) -> list[FileAnswer]:
        """Take the whole body; one answer a file, in their order.

        Raises:
            MalformedMultipart, TooManyFiles, WrongBatchState, Unavailable: what came whole before is recorded
                as far as it could be.
        """
        stream = MultipartStream(content_type)
        self._deletions = await to_thread.run_sync(self._count_deletions)
        try:
            async for chunk in chunks:
                for event in stream.feed(chunk):
                    await self._take(event)
            stream.finish()
        finally:
            if self._arriving is not None:
                self._arriving.spool.close()
            await self._record()
        return self._answers

    async def _take(self, event: Event) -> None:
        if isinstance(event, PartBegin):
            self._begin(event)
        elif self._arriving is None:
            return
        elif isinstance(event, PartData):
            await self._arriving.spool.write(event.data)
        else:
            arrival, self._arriving = self._arriving, None
            await self._complete(arrival)

    def _begin(self, part: PartBegin) -> None:
        most = self._services.settings.max_images_per_request
        if len(self._answers) + len(self._group) >= most:
            raise TooManyFiles(f"one request may bring {most} files; the first {most} were taken")
        if part.name != FIELD_NAME or not (part.custom_id or part.file_name):
            raise MalformedMultipart(
                f"each part is one file: named `{FIELD_NAME}`, with a filename or a header X-Custom-Id"
            )
        self._arriving = Arrival(part, Spool(max_bytes=self._services.settings.max_image_bytes))

    async def _complete(self, arrival: Arrival) -> None:
        self._group.append(arrival)
        arrival.judge(max_bytes=self._services.settings.max_image_bytes)
        if arrival.refusal is not None:
            arrival.spool.close()
        else:
            await self._places.acquire()
            arrival.storing = asyncio.create_task(self._store(arrival))
        if len(self._group) >= RECORDED_TOGETHER or any(map(_has_failed, self._group)):
            await self._record()

    async def _store(self, arrival: Arrival) -> None:
        try:
            await to_thread.run_sync(self._put, arrival, limiter=self._services.store_places)
        finally:
            arrival.spool.close()
            self._places.release()

    def _put(self, arrival: Arrival) -> None:
        key = image_key(self._tenant_id, arrival.spool.sha256)
        self._services.store.put(key, arrival.spool.rewound(), content_type=ANY_CONTENT_TYPE)

    async def _record(self) -> None:
        """Record the files that are stored; the first that could not be stored ends the request afterwards."""
        group, self._group = self._group, []
        storing = [arrival.storing for arrival in group if arrival.storing is not None]
        failures = [f for f in await asyncio.gather(*storing, return_exceptions=True) if f is not None]
        stored = [arrival for arrival in group if arrival.is_stored]
        if stored:
            offers = [arrival.offer() for arrival in stored]
            outcomes = await to_thread.run_sync(self._record_offers, offers)
            for arrival, outcome in zip(stored, outcomes, strict=True):
                arrival.outcome = outcome
        if failures:
            raise failures[0]
        self._answers += [arrival.answer() for arrival in group]

    def _record_offers(self, offers: Sequence[Offer]) -> list[Outcome]:
        settings = self._services.settings
        limits = UploadLimits(
            batch_images=settings.max_images_per_batch, daily_images=settings.daily_image_quota
        )
        with transaction(self._services.engine) as session:
            hold_tenant(session, self._tenant_id)
            deletions = count_deletions(session, self._tenant_id)
            if deletions != self._deletions:
                self._require_stored(offers)
            self._deletions = deletions
            outcomes = record_uploads(
                session, self._tenant_id, batch_id=self._batch_id, offers=offers, limits=limits
            )
            self._drop_unused(session, offers, outcomes=outcomes)
            return outcomes

    def _drop_unused(self, session: Session, offers: Sequence[Offer], *, outcomes: Sequence[Outcome]) -> None:
        # What was refused after it had been stored is deleted again. A request that has just stored the same bytes
        # finds out by the audit trail and looks whether they are still there.
        unused = find_unused(session, self._tenant_id, offers=offers, outcomes=outcomes)
        if unused:
            self._services.store.delete([image_key(self._tenant_id, sha256) for sha256 in unused])
            record_audit(
                session,
                "uploads.dropped",
                tenant_id=self._tenant_id,
                actor="system",
                subject=str(self._batch_id),
                objects=len(unused),
            )

    def _require_stored(self, offers: Sequence[Offer]) -> None:
        # Objects were deleted meanwhile, and among them perhaps one that has just been stored again.
        for offer in offers:
            self._services.store.size(image_key(self._tenant_id, offer.sha256))

    def _count_deletions(self) -> int:
        with transaction(self._services.engine) as session:
            return count_deletions(session, self._tenant_id)


def _has_failed(arrival: Arrival) -> bool:
    return arrival.storing is not None and arrival.storing.done() and not arrival.is_stored
