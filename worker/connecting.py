"""Connects to receivers of webhooks: only to addresses that the rules permit, and for no longer than is allowed.

A name is resolved once, the address that comes out is checked, and that very address is connected to, so that a name
which changes in between (DNS rebinding) gains nothing. TLS still checks the certificate against the name. One deadline
holds for the whole exchange, so that a receiver which answers byte by byte takes no longer than any other.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httpcore

from leaktrace.addresses import AddressRefused, AddressRules

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], list[Address]]


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, as the system finds them. Raises OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))


class GuardedNetwork(httpcore.NetworkBackend):
    """One exchange's way to the network, until `seconds` from now."""

    def __init__(
        self, rules: AddressRules, *, encrypted: bool, seconds: float, resolve: Resolve = resolve
    ) -> None:
        self._rules, self._encrypted, self._resolve = rules, encrypted, resolve
        self._deadline = time.monotonic() + seconds
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is what holds
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to an address of the host that the rules permit; raises AddressRefused when it has none."""
        address = self._choose(host, port)
        stream = self._network.connect_tcp(
            str(address), port, seconds_left(self._deadline), local_address, socket_options
        )
        return _DeadlineStream(stream, self._deadline)

    def _choose(self, host: str, port: int) -> Address:
        try:
            found = _within(lambda: self._resolve(host, port), seconds_left(self._deadline))
        except FutureTimeout as error:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} does not resolve") from error
        permits = self._rules.permits if self._encrypted else self._rules.allows
        permitted = [address for address in found if permits(address)]
        if not permitted:
            kind = "public" if self._encrypted else "allowed without encryption"
            raise AddressRefused(f"{host} has no address that is {kind}")
        return permitted[0]


def _within(look_up: Callable[[], list[Address]], seconds: float) -> list[Address]:
    """The outcome of a look-up. The system gives it no time-out, so it is left to itself when it takes too long."""
    outcome: Future[list[Address]] = Future()

    def run() -> None:
        try:
            outcome.set_result(look_up())
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    return outcome.result(seconds)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, seconds_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, seconds_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        encrypted = self._stream.start_tls(ssl_context, server_hostname, seconds_left(self._deadline))
        return _DeadlineStream(encrypted, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def seconds_left(deadline: float) -> float:
    """The time that is left. Raises ReadTimeout when none is."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for the exchange is over")
    return left
