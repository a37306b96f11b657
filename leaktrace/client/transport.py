"""One exchange with the service: which requests are sent again, when, and which errors its refusals are.

Written as a flow, so that both senders keep the same rules. Broken connections and the statuses of `retrying` are tried
again; everything else that is not a success raises. Knows no endpoint.
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from typing import Any

import httpx

from leaktrace.client.errors import ApiProblem, ServiceUnreachable, UnexpectedAnswer
from leaktrace.client.flows import Flow, Pause, Request
from leaktrace.client.retrying import RETRIED_STATUSES, RetryRules, retry_after_seconds
from leaktrace.errors import InvalidInput

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
# A wrong address should be noticed at once; patience is for a service that has answered before.
FIRST_CONTACT_SECONDS = 3.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
NOT_RETRIED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
CHUNKS = "leaktrace.chunks"  # where a sender keeps how far it has read in an answer
TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)


class Transport:
    """What is known of one service under one key, whoever sends."""

    def __init__(
        self, url: str, key: str, *, rules: RetryRules | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no address of a service; it starts with http:// or https://")
        self.url = url.rstrip("/")
        self.clock = clock or time.monotonic
        self._key, self._rules = key, rules or RetryRules()
        self._has_answered = self._is_closed = False

    def exchange(self, request: Request) -> Flow[httpx.Response]:
        """Send a request, again where that may help; gives the answer (2xx or 304).

        Raises:
            ApiProblem: the service refused it. ServiceUnreachable: it did not answer in the time that is allowed.
        """
        started = self.clock()
        for attempt in count(1):
            if self._is_closed:
                raise ServiceUnreachable("the client was closed while it was sending")
            try:
                response: httpx.Response = yield request
            except httpx.TransportError as error:
                yield Pause(self._wait_or_raise(error, attempt, started=started))
                continue
            self._has_answered = True
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                return response
            wait = self._wait_after(response, attempt, started=started)
            if wait is None:
                raise problem_of(response)
            yield Pause(wait)
        raise AssertionError("unreachable")  # count() does not end

    def service_options(self) -> dict[str, Any]:
        """How a connection pool to the service is made."""
        headers = {"Authorization": f"Bearer {self._key}", **user_agent()}
        return {"base_url": self.url, "headers": headers, "timeout": TIMEOUT, **proxies(self.url)}

    def _wait_or_raise(self, error: httpx.TransportError, attempt: int, *, started: float) -> float:
        elapsed = self.clock() - started
        wait = self._rules.wait_before_retry(attempt, elapsed_seconds=elapsed)
        new_and_silent = not self._has_answered and elapsed > FIRST_CONTACT_SECONDS
        if wait is None or new_and_silent or isinstance(error, NOT_RETRIED):
            reason = str(error) or type(error).__name__
            raise ServiceUnreachable(
                f"the service at {self.url} does not answer ({reason}); check that it runs, and the address"
            ) from error
        return wait

    def _wait_after(self, response: httpx.Response, attempt: int, *, started: float) -> float | None:
        asked = retry_after_seconds(response.headers)
        # 409 with a wait: an earlier try of the same request is still at work.
        may_help = response.status_code in RETRIED_STATUSES or (
            response.status_code == 409 and asked is not None
        )
        if not may_help:
            return None
        elapsed = self.clock() - started
        return self._rules.wait_before_retry(attempt, elapsed_seconds=elapsed, retry_after=asked)


def store_options(url: str) -> dict[str, Any]:
    """How a connection pool to the object store is made, which gets no key: its forms are signed."""
    return {"headers": user_agent(), "timeout": TIMEOUT, **proxies(url)}


def proxies(url: str) -> dict[str, bool]:
    """Whether the environment's proxies apply: they have no way to this machine itself."""
    return {"trust_env": httpx.URL(url).host not in LOOPBACK}


def origin_of(url: str) -> str:
    """Scheme, host and port: what a pool of connections is for."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"


def user_agent() -> dict[str, str]:
    """By which the service knows the client."""
    return {"User-Agent": f"leaktrace/{version('leaktrace')}"}


def problem_of(response: httpx.Response) -> Exception:
    """The error that a refusing answer, which has been read, stands for."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and response.is_error:
        return ApiProblem(document, status=response.status_code)
    if response.is_error:
        detail = f"{response.url} answered {response.status_code} {response.reason_phrase}"
        return ApiProblem({"title": response.reason_phrase, "detail": detail}, status=response.status_code)
    return UnexpectedAnswer(
        f"{response.url} answered {response.status_code}; check the address of the service"
    )


def json_of(response: httpx.Response) -> Any:
    """The JSON body of a successful answer; raises UnexpectedAnswer when it is none."""
    try:
        return response.json()
    except ValueError as error:
        raise UnexpectedAnswer(
            f"{response.url} did not answer JSON; check the address of the service"
        ) from error
