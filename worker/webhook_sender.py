"""Sends one webhook message, signed as Standard Webhooks has it, and says what the receiver made of it.

Whatever goes wrong on the way is an outcome, not an exception. Redirects are not followed, the answer's body is read
only so far and dropped. Knows nothing of the database.
"""

import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from urllib.parse import urlsplit

import httpcore
from standardwebhooks import Webhook

from leaktrace.addresses import AddressRefused, AddressRules
from leaktrace.client.retrying import retry_after_seconds
from leaktrace.records.deliveries import DueDelivery, Try
from leaktrace.sealing import SecretSeal
from worker.connecting import GuardedNetwork, Resolve, resolve

MOST_ANSWER_BYTES = 65_536
ERROR_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class WebhookSender:
    """May be used by several threads; each message has a connection of its own, and `seconds` for everything."""

    rules: AddressRules
    seconds: float
    seal: SecretSeal = field(default_factory=SecretSeal)
    tls: ssl.SSLContext = field(default_factory=httpcore.default_ssl_context)
    resolve: Resolve = resolve

    def send(self, due: DueDelivery) -> Try:
        """POST the message once.

        Raises:
            SecretUnreadable: the endpoint's secret was sealed by a key that is missing; no receiver is to blame.
        """
        started = time.monotonic()
        retry_after: timedelta | None = None
        status: int | None = None
        try:
            status, retry_after = self._exchange(due)
            error = None if 200 <= status < 300 else _refusal(status)
        except AddressRefused as refused:
            error = str(refused)
        except httpcore.TimeoutException:
            error = f"no answer within {self.seconds:g} s"
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as broken:
            error = f"the connection failed: {broken}"[:ERROR_CHARACTERS]
        milliseconds = round((time.monotonic() - started) * 1000)
        return Try(status=status, error=error, milliseconds=milliseconds, retry_after=retry_after)

    def _exchange(self, due: DueDelivery) -> tuple[int, timedelta | None]:
        self.rules.check_url(due.url)
        body = message_body(due)
        network = GuardedNetwork(
            self.rules,
            encrypted=urlsplit(due.url).scheme == "https",
            seconds=self.seconds,
            resolve=self.resolve,
        )
        secrets = [self.seal.open(secret) for secret in due.secrets]
        headers = list(message_headers(due, body, secrets=secrets).items())
        with (
            httpcore.ConnectionPool(ssl_context=self.tls, network_backend=network) as pool,
            pool.stream("POST", due.url, headers=headers, content=body) as response,
        ):
            _read_some(response)
            named = {
                name.decode().lower(): value.decode(errors="replace") for name, value in response.headers
            }
        asked = retry_after_seconds(named)
        return response.status, None if asked is None else timedelta(seconds=asked)


def message_body(due: DueDelivery) -> bytes:
    """The message, the same to the last byte at every try."""
    document = {"type": due.event, "timestamp": due.happened_at.isoformat(), "data": due.data}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def message_id(due: DueDelivery) -> str:
    """The `webhook-id`: the event's, at every try and replay."""
    return f"msg_{due.event_id.hex}"


def message_headers(due: DueDelivery, body: bytes, *, secrets: Sequence[str]) -> dict[str, str]:
    """Id, time and a signature for each secret that is valid now."""
    now = datetime.now(UTC)
    signatures = [Webhook(secret).sign(message_id(due), now, body.decode()) for secret in secrets]
    return {
        "Host": urlsplit(due.url).netloc,
        "Content-Type": "application/json",
        "User-Agent": f"leaktrace/{version('leaktrace')}",
        "webhook-id": message_id(due),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _read_some(response: httpcore.Response) -> None:
    """Let a small answer end properly; a large or endless one is cut off when the connection is closed."""
    taken = 0
    for chunk in response.iter_stream():
        taken += len(chunk)
        if taken > MOST_ANSWER_BYTES:
            return


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"the receiver answered {status}; redirects are not followed, so give the final address"
    return f"the receiver answered {status}"
