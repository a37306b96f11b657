"""Makes methods of flows: written once, typed for both kinds of client.

The same method is `client.batch(id)` of a blocking client and `await client.batch(id)` of an asynchronous one; which it
is follows from the sender that the part of the client has, for type checkers too.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from functools import update_wrapper
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from uuid import uuid4

from leaktrace.client.answers import AnswerT, read_answer
from leaktrace.client.flows import Awaiting, Blocking, Flow, Request, Sender, Series
from leaktrace.client.transport import json_of

P = ParamSpec("P")
T = TypeVar("T")
SenderT = TypeVar("SenderT", bound=Sender)


class Part(Generic[SenderT]):
    """A part of a client: methods that go through one sender, and how most of them ask."""

    def __init__(self, sender: SenderT) -> None:
        self._sender = sender

    def _ask(self, kind: type[AnswerT], method: str, path: str, **sent: Any) -> Flow[AnswerT]:
        """One answer."""
        response = yield from self._sender.exchange(Request(method=method, path=path, **sent))
        return read_answer(kind, json_of(response))

    def _ask_once(self, kind: type[AnswerT], path: str, json: Any) -> Flow[AnswerT]:
        """The answer to something that must not be done twice, however often it is sent."""
        return self._ask(kind, "POST", path, json=json, headers=once())

    def _list(self, kind: type[AnswerT], path: str, **sent: Any) -> Flow[list[AnswerT]]:
        """All entries of a short listing, or of what a request made."""
        response = yield from self._sender.exchange(
            Request(method=sent.pop("method", "GET"), path=path, **sent)
        )
        return [read_answer(kind, entry) for entry in json_of(response).get("data", [])]

    def _bytes(self, path: str) -> Flow[bytes]:
        """An answer that is no JSON."""
        return (yield from self._sender.exchange(Request(method="GET", path=path))).content

    def _pages(self, kind: type[AnswerT], path: str, **filters: Any) -> Series[AnswerT]:
        """All entries of a long listing, page by page; a page that fails is asked for again."""
        cursor: str | None = None
        more = True

        def page() -> Flow[Iterable[AnswerT]]:
            nonlocal cursor, more
            query = given(cursor=cursor, **filters)
            document = json_of(
                (yield from self._sender.exchange(Request(method="GET", path=path, params=query)))
            )
            cursor = document.get("next_cursor")
            more = cursor is not None
            return [read_answer(kind, entry) for entry in document.get("data", [])]

        def pages() -> Iterator[Flow[Iterable[AnswerT]]]:
            while more:
                yield page()

        return Series(pages())


class shared(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that is written as a flow: it gives a T, or an awaitable of one."""

    def __init__(self, write: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._write = write
        update_wrapper(self, write)  # type: ignore[arg-type]

    @overload
    def __get__(self, part: Part[Blocking], kind: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, part: Part[Awaiting], kind: type | None = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, part: Any, kind: type | None = None) -> Any:
        """The method of `part`."""
        return self if part is None else _bound(self._write, part, by="run")


class iterated(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that is written as a series: it gives an iterator, which sends nothing before it is read."""

    def __init__(self, write: Callable[Concatenate[Any, P], Series[T]]) -> None:
        self._write = write
        update_wrapper(self, write)  # type: ignore[arg-type]

    @overload
    def __get__(self, part: Part[Blocking], kind: type | None = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, part: Part[Awaiting], kind: type | None = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, part: Any, kind: type | None = None) -> Any:
        """The method of `part`."""
        return self if part is None else _bound(self._write, part, by="iterate")


def given(**filters: Any) -> dict[str, str | int]:
    """The query that holds the filters which are set; times are written as ISO 8601."""
    written = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()
    }
    return {name: value for name, value in written.items() if value is not None}


def once() -> dict[str, str]:
    """The header by which a request that is sent again is known as the same."""
    return {"Idempotency-Key": str(uuid4())}


def _bound(write: Callable[..., Any], part: Part[Any], *, by: str) -> Callable[..., Any]:
    method = MethodType(write, part)

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(part._sender, by)(method(*arguments, **named))

    return update_wrapper(call, method)
