"""Sends requests to the service and sends them again where that is safe and may help.

Every request is built anew for each try, since the files of an upload can be read only once. Broken connections and
the statuses of `retrying` are tried again; everything else that is not a success raises. Knows no endpoint.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from typing import Any

import httpx

from leaktrace.client.errors import ApiProblem, ServiceUnreachable, UnexpectedAnswer
from leaktrace.client.retrying import RETRIED_STATUSES, RetryRules, retry_after_seconds
from leaktrace.errors import InvalidInput

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
# A wrong address should be noticed at once; patience is for a service that has answered before.
FIRST_CONTACT_SECONDS = 3.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
NOT_RETRIED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Transport:
    """An HTTP connection pool to one service under one key. May be used by several threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        rules: RetryRules,
        http_transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no address of a service; it starts with http:// or https://")
        self.url = url.rstrip("/")
        self._closed = threading.Event()
        self._rules, self._clock = rules, clock
        self._sleep = sleep or self._closed.wait
        self._has_answered = False
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}", "User-Agent": f"leaktrace/{version('leaktrace')}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            transport=http_transport,
            trust_env=may_use_proxy(url),
        )

    def close(self) -> None:
        """Close the pool, and end the waits of other threads; the transport cannot be used afterwards."""
        self._closed.set()
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request with a small body and return the whole answer (2xx or 304).

        Raises:
            ApiProblem: the service refused it. ServiceUnreachable: it did not answer in the time that is allowed.
        """

        def build() -> httpx.Request:
            return self._http.build_request(method, path, json=json, params=params, headers=headers)

        return self.send(build)

    def build_upload(self, path: str, *, files: list[tuple[str, Any]]) -> httpx.Request:
        """A multipart request that reads the open files piece by piece while it is sent."""
        return self._http.build_request("POST", path, files=files)

    def send(self, build: Callable[[], httpx.Request], *, stream: bool = False) -> httpx.Response:
        """Send what `build` makes, again where that may help; see `request` for what it raises."""
        started = self._clock()
        for attempt in count(1):
            if self._closed.is_set():
                raise ServiceUnreachable("the client was closed while it was sending")
            try:
                response = self._http.send(build(), stream=stream)
            except httpx.TransportError as error:
                self._wait_or_raise(error, attempt, started=started)
                continue
            self._has_answered = True
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                return response
            wait = self._wait_after(response, attempt, started=started)
            if wait is None:
                raise problem_of(response)
            response.close()
            self._sleep(wait)
        raise AssertionError("unreachable")  # count() does not end

    @contextmanager
    def stream(
        self, path: str, *, params: Mapping[str, str | int], headers: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """GET an answer whose body is read piece by piece inside the block."""

        def build() -> httpx.Request:
            return self._http.build_request("GET", path, params=params, headers=headers)

        response = self.send(build, stream=True)
        try:
            yield response
        finally:
            response.close()

    def _wait_or_raise(self, error: httpx.TransportError, attempt: int, *, started: float) -> None:
        elapsed = self._clock() - started
        wait = self._rules.wait_before_retry(attempt, elapsed_seconds=elapsed)
        new_and_silent = not self._has_answered and elapsed > FIRST_CONTACT_SECONDS
        if wait is None or new_and_silent or isinstance(error, NOT_RETRIED):
            reason = str(error) or type(error).__name__
            raise ServiceUnreachable(
                f"the service at {self.url} does not answer ({reason}); check that it runs, and the address"
            ) from error
        self._sleep(wait)

    def _wait_after(self, response: httpx.Response, attempt: int, *, started: float) -> float | None:
        asked = retry_after_seconds(response.headers)
        # 409 with a wait: an earlier try of the same request is still at work.
        may_help = response.status_code in RETRIED_STATUSES or (
            response.status_code == 409 and asked is not None
        )
        if not may_help:
            return None
        elapsed = self._clock() - started
        return self._rules.wait_before_retry(attempt, elapsed_seconds=elapsed, retry_after=asked)


def may_use_proxy(url: str) -> bool:
    """Whether the environment's proxies apply: they have no way to this machine itself."""
    return httpx.URL(url).host not in LOOPBACK


def problem_of(response: httpx.Response) -> Exception:
    """The error that a refusing answer stands for."""
    try:
        document = response.json() if response.is_closed else _read_json(response)
    except (ValueError, httpx.TransportError):
        document = None
    if isinstance(document, dict) and response.is_error:
        return ApiProblem(document, status=response.status_code)
    if response.is_error:
        detail = f"{response.url} answered {response.status_code} {response.reason_phrase}"
        return ApiProblem({"title": response.reason_phrase, "detail": detail}, status=response.status_code)
    return UnexpectedAnswer(
        f"{response.url} answered {response.status_code}; check the address of the service"
    )


def _read_json(response: httpx.Response) -> Any:
    response.read()
    response.close()
    return response.json()


def json_of(response: httpx.Response) -> Any:
    """The JSON body of a successful answer; raises UnexpectedAnswer when it is none."""
    try:
        return response.json()
    except ValueError as error:
        raise UnexpectedAnswer(
            f"{response.url} did not answer JSON; check the address of the service"
        ) from error
