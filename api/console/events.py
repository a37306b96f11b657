"""Server-sent events: tells signed-in pages that a topic changed, so that they fetch what they show again.

An event names its topic and carries nothing else; what a page may see is decided where it asks. A topic is a mark in
the records that differs when anything a page shows of it does; marks are read at most once a second for each tenant,
however many pages are open. A stream ends after a minute and is opened again, so that an ended session ends it too.
"""

import time
from collections.abc import AsyncIterator, Callable
from threading import Lock
from typing import Annotated
from uuid import UUID

import anyio
from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.console.visitors import opens
from api.dependencies import GivenServices, Services
from leaktrace.errors import InvalidInput, Unavailable
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.marks import batches_mark, system_mark

LOOK_SECONDS = 1.0
STREAM_SECONDS = 60.0
REOPEN_MILLISECONDS = 500
TOPICS: dict[str, Callable[[Session, UUID], str]] = {"batches": batches_mark, "system": system_mark}

router = APIRouter()


class Marks:
    """The newest mark of each tenant and topic, shared by all streams of the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[tuple[UUID, str], tuple[float, str]] = {}

    def read(self, services: Services, tenant_id: UUID, topic: str) -> str:
        """The mark, looked up unless that was done within the last second."""
        with self._lock:
            at, mark = self._seen.get((tenant_id, topic), (float("-inf"), ""))
            if time.monotonic() - at >= LOOK_SECONDS:
                with transaction(services.engine) as session:
                    mark = TOPICS[topic](session, tenant_id)
                self._seen[tenant_id, topic] = (time.monotonic(), mark)
            return mark


_marks = Marks()


@router.get("/events")
async def events(
    services: GivenServices,
    visitor: Annotated[Visitor, opens("batches:read")],
    topic: Annotated[list[str], Query(max_length=10)],
) -> StreamingResponse:
    """A stream of `changed` events for the topics asked for."""
    unknown = sorted(set(topic) - set(TOPICS))
    if unknown:
        raise InvalidInput(f"unknown topics {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    stream = _watch(services, visitor.caller.tenant_id, topic)
    return StreamingResponse(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _watch(services: Services, tenant_id: UUID, topics: list[str]) -> AsyncIterator[bytes]:
    known: dict[str, str] = {}
    yield f"retry: {REOPEN_MILLISECONDS}\n\n".encode()
    ends_at = time.monotonic() + STREAM_SECONDS
    while time.monotonic() < ends_at:
        for topic in topics:
            try:
                mark = await run_in_threadpool(_marks.read, services, tenant_id, topic)
            except Unavailable:
                return  # the page tries again, and says so itself when it cannot be served
            if known.get(topic) != mark:  # the first too: it may differ from what the page was made of
                known[topic] = mark
                yield f"event: changed\ndata: {topic}\n\n".encode()
        await anyio.sleep(LOOK_SECONDS)
        yield b": \n\n"  # makes a vanished browser show
