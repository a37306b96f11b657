"""The sender of the blocking client: each step is done where it is met; series run in a few threads.

Its flows may be carried out by several threads at once. Knows no endpoint.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import httpx

from leaktrace.client.flows import Each, Flow, NextChunk, Pause, Request, Series, Step, Work
from leaktrace.client.retrying import RetryRules
from leaktrace.client.transport import CHUNKS, Transport, origin_of, store_options

T = TypeVar("T")


class BlockingSender(Transport):
    """A connection pool to one service under one key; `sleep` replaces waiting, for tests."""

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
        super().__init__(url, key, rules=rules, clock=clock)
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._sleep = sleep or self._closed.wait
        self._http_transport = http_transport
        self._service = httpx.Client(transport=http_transport, **self.service_options())
        self._stores: dict[str, httpx.Client] = {}

    def close(self) -> None:
        """Close the pools, and end the waits of other threads; nothing can be sent afterwards."""
        self._is_closed = True
        self._closed.set()
        for http in (self._service, *self._stores.values()):
            http.close()

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow; what goes wrong in a step is raised in the flow."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = self._perform(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    def iterate(self, series: Series[T]) -> Iterator[T]:
        """Carry out a series as its items are asked for."""
        try:
            if series.parallel == 1:
                for flow in series.flows:
                    yield from self.run(flow)
            else:
                yield from self._iterate_in_threads(series)
        finally:
            for response in series.streamed:
                response.close()

    def _iterate_in_threads(self, series: Series[T]) -> Iterator[T]:
        under_way: set[Future[Any]] = set()
        with ThreadPoolExecutor(series.parallel, thread_name_prefix="leaktrace") as threads:
            try:
                for flow in series.flows:
                    under_way.add(threads.submit(self.run, flow))
                    if len(under_way) >= 2 * series.parallel:
                        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                        for future in done:
                            yield from future.result()
                while under_way:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            finally:
                for future in under_way:
                    future.cancel()

    def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                return self._send(step)
            case Pause(seconds):
                return self._sleep(seconds)
            case Work(run):
                return run()
            case NextChunk(response):
                return next(response.extensions.setdefault(CHUNKS, response.iter_bytes()), b"")
            case Each(series, take):
                for item in self.iterate(series):
                    take(item)
        return None

    def _send(self, request: Request) -> httpx.Response:
        http = self._service if request.to == "service" else self._store_of(request.path)
        response = http.send(request.build(http), stream=request.stream)
        if request.stream and not response.is_success:
            response.read()
        return response

    def _store_of(self, url: str) -> httpx.Client:
        origin = origin_of(url)
        with self._lock:
            if origin not in self._stores:
                self._stores[origin] = httpx.Client(transport=self._http_transport, **store_options(url))
            return self._stores[origin]
