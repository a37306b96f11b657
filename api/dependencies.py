"""What routes are given: the services that the app was built from, and the batch whose id the logs shall carry.

One `Services` an app, made by `create_app` and closed with it. Knows nothing of particular routes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, cast
from uuid import UUID

from anyio import CapacityLimiter
from fastapi import Depends, Path, Request
from sqlalchemy import Engine

from api.cursors import CursorSeal
from api.limits import Backlog
from leaktrace.logs import bind_context
from leaktrace.objects import ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.sealing import SecretSeal
from leaktrace.settings import Settings


@dataclass(frozen=True)
class Services:
    """The connections of one process; all are safe to share between threads."""

    settings: Settings
    engine: Engine
    store: ObjectStore
    queue: ShardQueue
    cursors: CursorSeal
    seal: SecretSeal
    backlog: Backlog
    store_places: (
        CapacityLimiter  # uploads to the store at a time, so that they leave threads to other requests
    )


def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def _batch_id(
    batch_id: Annotated[UUID, Path(description="The batch's `id`.")],
) -> AsyncIterator[UUID]:
    # Asynchronous, so that it runs in the request's own context and the id appears on all its log lines.
    with bind_context(batch_id=str(batch_id)):
        yield batch_id


GivenServices = Annotated[Services, Depends(_services)]
BatchId = Annotated[UUID, Depends(_batch_id)]
