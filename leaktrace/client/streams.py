"""An answer read piece by piece as a series, whatever its pieces mean. Knows no endpoint.

What reads the pieces decides whether they were whole: an answer that breaks off must not pass for a short one.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import httpx

from leaktrace.client.flows import Flow, NextChunk, Request, Sender, Series


class Reader(Protocol):
    """Reads the pieces of one answer."""

    has_ended: bool

    def feed(self, chunk: bytes) -> list[bytes]:
        """What to pass on of this piece; b"" is the end, where it raises `broken()` if the answer was not whole."""
        ...

    def broken(self) -> Exception:
        """The error of an answer that broke off."""
        ...


def stream(sender: Sender, request: Request, reader: Reader) -> Series[bytes]:
    """Send the request, which has `stream` set, and pass on what the reader makes of the answer."""
    streamed = list[httpx.Response]()

    def flows() -> Iterator[Flow[Iterable[bytes]]]:
        yield _open(sender, request, streamed)
        while not reader.has_ended:
            yield _read_on(streamed[0], reader)

    return Series(flows(), streamed=streamed)


def _open(sender: Sender, request: Request, streamed: list[httpx.Response]) -> Flow[Iterable[bytes]]:
    streamed.append((yield from sender.exchange(request)))
    return ()


def _read_on(response: httpx.Response, reader: Reader) -> Flow[Iterable[bytes]]:
    try:
        chunk: bytes = yield NextChunk(response)
    except httpx.TransportError as error:
        raise reader.broken() from error
    return reader.feed(chunk)
