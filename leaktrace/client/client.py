"""The two clients of the service: `Client` blocks, `AsyncClient` is awaited; their methods are the same.

Everything that can be sent again safely is (see `retrying`), and what must not be done twice goes under an idempotency
key. The methods stand in the module of their part, such as `batches`, each written once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic

import httpx

from leaktrace.client.administration import Administration
from leaktrace.client.awaiting import AwaitingSender
from leaktrace.client.batches import Batches
from leaktrace.client.blocking import BlockingSender
from leaktrace.client.flows import Awaiting, Blocking
from leaktrace.client.images import Images
from leaktrace.client.methods import SenderT
from leaktrace.client.models import Models
from leaktrace.client.open_set import OpenSet
from leaktrace.client.reports import Reports
from leaktrace.client.rescoring import Rescoring
from leaktrace.client.retrying import RetryRules
from leaktrace.client.review import Review
from leaktrace.client.submitting import Submitting
from leaktrace.client.webhooks import Webhooks


class Service(
    Batches[SenderT],
    Submitting[SenderT],
    Images[SenderT],
    Models[SenderT],
    Reports[SenderT],
    Generic[SenderT],
):
    """All that a client can do, by whatever sender."""

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._sender.url

    @property
    def open_set(self) -> OpenSet[SenderT]:
        """Candidates, enrolments and densities."""
        return OpenSet(self._sender)

    @property
    def rescoring(self) -> Rescoring[SenderT]:
        """Images judged again, and what differs then."""
        return Rescoring(self._sender)

    @property
    def webhooks(self) -> Webhooks[SenderT]:
        """The tenant's webhooks and what was sent to them."""
        return Webhooks(self._sender)

    @property
    def review(self) -> Review[SenderT]:
        """The review queue."""
        return Review(self._sender)

    @property
    def administration(self) -> Administration[SenderT]:
        """Keys, tenants, audit trail and status."""
        return Administration(self._sender)


class Client(Service[Blocking]):
    """Talks to one service under one key: `with Client(url, key) as client: ...`. Threads may share it.

    Every method may raise `ApiProblem` (the service refused) and `ServiceUnreachable` (it did not answer for as long
    as `rules` allow). `sleep` and `clock` are for tests.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        rules: RetryRules | None = None,
        http_transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        sender = BlockingSender(
            url, key, rules=rules, http_transport=http_transport, sleep=sleep, clock=clock
        )
        self.disconnect = sender.close
        super().__init__(sender)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()


class AsyncClient(Service[Awaiting]):
    """The same on an event loop: `async with AsyncClient(url, key) as client: await client.batch(id)`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        rules: RetryRules | None = None,
        http_transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        sender = AwaitingSender(
            url, key, rules=rules, http_transport=http_transport, sleep=sleep, clock=clock
        )
        self.disconnect = sender.close
        super().__init__(sender)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()
