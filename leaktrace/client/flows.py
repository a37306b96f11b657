"""What the two kinds of client share: a *flow* says what is to be sent and waited for, and sends nothing itself.

A flow is a generator that yields steps (a request, a pause, work on files) and is given their outcome, so it runs under
a blocking sender as well as on an event loop. Knows no endpoint; `methods` makes typed methods of flows.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import httpx

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that is built anew for each try; `open_files` opens its files, `stream` leaves the answer unread.

    What goes to the object store goes there without the key of the service.
    """

    method: str
    path: str
    json: Any = None
    params: Mapping[str, str | int] | None = None
    headers: Mapping[str, str] | None = None
    data: Mapping[str, str] | None = None
    open_files: Callable[[], Any] | None = None
    stream: bool = False
    to: Literal["service", "store"] = "service"

    def build(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request as httpx sends it; files are read piece by piece meanwhile."""
        return http.build_request(
            self.method,
            self.path,
            json=self.json,
            params=self.params,
            headers=self.headers,
            data=None if self.data is None else dict(self.data),
            files=None if self.open_files is None else self.open_files(),
        )


@dataclass(frozen=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that reads files, and so must not hold up an event loop; its outcome is given back."""

    run: Callable[[], Any]


@dataclass(frozen=True)
class NextChunk:
    """Read on in an answer that was asked for with `stream`; b"" is its end."""

    response: httpx.Response


@dataclass(frozen=True)
class Each:
    """Carry out a whole series and hand every item over."""

    series: "Series[Any]"
    take: Callable[[Any], None]


Step = Request | Pause | Work | NextChunk | Each
Flow = Generator[Step, Any, T]


@dataclass(frozen=True)
class Series(Generic[T]):
    """Flows that give some items each; up to `parallel` are under way at once, and as many wait.

    With `parallel` 1 a flow is taken only after the one before has ended. Answers in `streamed` are closed when the
    reader turns away.
    """

    flows: Iterator[Flow[Iterable[T]]]
    parallel: int = 1
    streamed: list[httpx.Response] = field(default_factory=list)


class Sender(Protocol):
    """What carries out the flows of one client."""

    url: str
    clock: Callable[[], float]

    def exchange(self, request: Request) -> Flow[httpx.Response]:
        """Send a request, again where that may help."""
        ...


class Blocking(Sender, Protocol):
    """A sender whose caller waits."""

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow."""
        ...

    def iterate(self, series: Series[T]) -> Iterator[T]:
        """Carry out a series as its items are asked for."""
        ...


class Awaiting(Sender, Protocol):
    """A sender on an event loop."""

    def run(self, flow: Flow[T]) -> Awaitable[T]:
        """Carry out a flow."""
        ...

    def iterate(self, series: Series[T]) -> AsyncIterator[T]:
        """Carry out a series as its items are asked for."""
        ...


def work(run: Callable[[], T]) -> Flow[T]:
    """The outcome of `run`, which may take its time."""
    outcome: T = yield Work(run)
    return outcome


def settled(items: T) -> Flow[T]:
    """A flow that needs nothing."""
    yield from ()
    return items
