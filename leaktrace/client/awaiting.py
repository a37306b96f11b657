"""The sender of the asynchronous client: each step is awaited; series run as a few tasks; file work runs in threads.

Made for asyncio. While a request is sent its files are read on the event loop, piece by piece. Knows no endpoint.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx

from leaktrace.client.flows import Each, Flow, NextChunk, Pause, Request, Series, Step, Work
from leaktrace.client.retrying import RetryRules
from leaktrace.client.transport import CHUNKS, Transport, origin_of, store_options

T = TypeVar("T")


class AwaitingSender(Transport):
    """A connection pool to one service under one key; `sleep` replaces waiting, for tests."""

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
        super().__init__(url, key, rules=rules, clock=clock)
        self._sleep, self._http_transport = sleep, http_transport
        self._service = httpx.AsyncClient(transport=http_transport, **self.service_options())
        self._stores: dict[str, httpx.AsyncClient] = {}

    async def close(self) -> None:
        """Close the pools; nothing can be sent afterwards."""
        self._is_closed = True
        for http in (self._service, *self._stores.values()):
            await http.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow; what goes wrong in a step is raised in the flow."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = await self._perform(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    async def iterate(self, series: Series[T]) -> AsyncIterator[T]:
        """Carry out a series as its items are asked for."""
        try:
            if series.parallel == 1:
                for flow in series.flows:
                    for item in await self.run(flow):
                        yield item
            else:
                async for item in self._iterate_in_tasks(series):
                    yield item
        finally:
            for response in series.streamed:
                await response.aclose()

    async def _iterate_in_tasks(self, series: Series[T]) -> AsyncIterator[T]:
        under_way: set[asyncio.Task[Any]] = set()
        try:
            # The next flow may have to look for its files, which takes a thread.
            while (flow := await asyncio.to_thread(next, series.flows, None)) is not None or under_way:
                if flow is not None:
                    under_way.add(asyncio.create_task(self.run(flow)))
                if flow is None or len(under_way) >= series.parallel:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        for item in task.result():
                            yield item
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                return await self._send(step)
            case Pause(seconds):
                return await self._sleep(seconds)
            case Work(run):
                return await asyncio.to_thread(run)
            case NextChunk(response):
                return await anext(response.extensions.setdefault(CHUNKS, response.aiter_bytes()), b"")
            case Each(series, take):
                async for item in self.iterate(series):
                    take(item)
        return None

    async def _send(self, request: Request) -> httpx.Response:
        http = self._service if request.to == "service" else self._store_of(request.path)
        response = await http.send(request.build(http), stream=request.stream)
        if request.stream and not response.is_success:
            await response.aread()
        return response

    def _store_of(self, url: str) -> httpx.AsyncClient:
        origin = origin_of(url)
        if origin not in self._stores:
            self._stores[origin] = httpx.AsyncClient(transport=self._http_transport, **store_options(url))
        return self._stores[origin]
