"""One message to a real receiver: signed, bounded in time, and never to where it must not go."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from deploy.embedded.certificates import keep_certificate
from leaktrace.addresses import AddressRules
from leaktrace.records.deliveries import DueDelivery
from leaktrace.records.webhooks import new_secret
from leaktrace.sealing import SecretSeal, SecretUnreadable
from tests.receiver import Receiver, receive
from worker.connecting import Address
from worker.webhook_sender import WebhookSender, message_body

LOOPBACK = AddressRules((ip_network("127.0.0.0/8"),))
SECRET, OLD_SECRET = new_secret(), new_secret()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive(Receiver()) as receiver:
        yield receiver


def due(url: str, *, secrets: tuple[str, ...] = (SECRET,)) -> DueDelivery:
    return DueDelivery(
        *(UUID(int=1), UUID(int=2), "batch.finished", {"name": "Ærø"}, datetime(2026, 1, 5, tzinfo=UTC)),
        *(url, secrets),
    )


def sender(rules: AddressRules = LOOPBACK, *, seconds: float = 5.0, **names: str) -> WebhookSender:
    def resolve(host: str, _port: int) -> list[Address]:
        if host not in names:
            raise socket.gaierror(f"no {host} here")
        return [ip_address(names[host])]

    if not names:
        return WebhookSender(rules=rules, seconds=seconds)
    return WebhookSender(rules=rules, seconds=seconds, resolve=resolve)


def test_receiver_verifies_the_message(receiver: Receiver) -> None:
    tried = sender().send(due(receiver.url))
    (message,) = receiver.messages
    assert (tried.succeeded, tried.status) == (True, 204)
    assert message.verified(SECRET)["data"] == {"name": "Ærø"}
    assert message.id == f"msg_{UUID(int=2).hex}"


def test_old_secret_verifies_during_rotation(receiver: Receiver) -> None:
    sender().send(due(receiver.url, secrets=(SECRET, OLD_SECRET)))
    (message,) = receiver.messages
    assert message.verified(SECRET) == message.verified(OLD_SECRET)


def test_missing_key_is_no_receivers_fault(receiver: Receiver) -> None:
    sealed = SecretSeal(["k" * 32]).seal(SECRET)
    with pytest.raises(SecretUnreadable):
        sender().send(due(receiver.url, secrets=(sealed,)))
    assert receiver.messages == []


def test_body_is_the_same_at_every_try() -> None:
    assert message_body(due("https://a.example")) == message_body(due("https://b.example"))
    assert json.loads(message_body(due("https://a.example")))["type"] == "batch.finished"


def test_secret_is_as_the_library_wants_it() -> None:
    assert len(Webhook(new_secret())._whsecret) == 32


@pytest.mark.parametrize("status", [302, 400, 404, 410, 500, 503])
def test_refusal_is_an_outcome(receiver: Receiver, status: int) -> None:
    receiver.status = status
    tried = sender().send(due(receiver.url))
    assert (tried.succeeded, tried.status) == (False, status)


def test_redirect_is_not_followed(receiver: Receiver) -> None:
    with receive(Receiver()) as elsewhere:
        receiver.status, receiver.answer_headers = 307, {"Location": elsewhere.url}
        sender().send(due(receiver.url))
        assert (len(receiver.messages), elsewhere.messages) == (1, [])


def test_wait_is_taken_from_the_receiver(receiver: Receiver) -> None:
    receiver.status, receiver.answer_headers = 429, {"Retry-After": "90"}
    tried = sender().send(due(receiver.url))
    assert tried.retry_after is not None
    assert tried.retry_after.total_seconds() == 90


def test_silent_receiver_is_given_up(receiver: Receiver) -> None:
    receiver.wait_seconds = 0.6
    tried = sender(seconds=0.2).send(due(receiver.url))
    assert (tried.status, tried.error, tried.milliseconds < 500) == (None, "no answer within 0.2 s", True)


def test_endless_answer_is_given_up(receiver: Receiver) -> None:
    receiver.status, receiver.drip = 200, True
    tried = sender(seconds=0.3).send(due(receiver.url))
    assert (tried.succeeded, tried.milliseconds < 900) == (False, True)


def test_name_of_private_address_is_refused(receiver: Receiver) -> None:
    url = f"https://inside.example:{receiver.port}/"
    tried = sender(AddressRules(), **{"inside.example": "127.0.0.1"}).send(due(url))
    assert (tried.error, receiver.messages) == ("inside.example has no address that is public", [])


def test_private_literal_is_refused(receiver: Receiver) -> None:
    tried = sender(AddressRules()).send(due(f"https://127.0.0.1:{receiver.port}/"))
    assert (tried.error, receiver.messages) == ("127.0.0.1 is not a public address", [])


def test_plain_http_stays_in_allowed_networks() -> None:
    tried = sender(**{"outside.example": "93.184.216.34"}).send(due("http://outside.example/"))
    assert tried.error == "outside.example has no address that is allowed without encryption"


def test_checked_address_is_connected_to(receiver: Receiver) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])
    rebinding = WebhookSender(
        rules=LOOPBACK, seconds=5, resolve=lambda _host, _port: [ip_address(next(answers))]
    )
    tried = rebinding.send(due(f"http://changing.example:{receiver.port}/"))
    assert (tried.succeeded, receiver.messages[0].headers["host"], next(answers)) == (
        *(True, f"changing.example:{receiver.port}"),
        "10.0.0.1",  # the second answer was never asked for
    )


def test_slow_look_up_is_given_up() -> None:
    found = threading.Event()

    def resolve(_host: str, _port: int) -> list[Address]:
        found.wait()
        return [ip_address("127.0.0.1")]

    tried = WebhookSender(rules=LOOPBACK, seconds=0.2, resolve=resolve).send(due("https://slow.example/"))
    found.set()
    assert (tried.status, tried.error, tried.milliseconds < 1500) == (None, "no answer within 0.2 s", True)


def test_unknown_name_is_an_outcome() -> None:
    tried = sender(**{"known.example": "127.0.0.1"}).send(due("https://unknown.example/"))
    assert tried.error == "the connection failed: the name unknown.example does not resolve"


@pytest.mark.parametrize(("host", "taken"), [("localhost", True), ("another.example", False)])
def test_certificate_is_checked_against_the_name(tmp_path: Path, host: str, taken: bool) -> None:
    certificate = keep_certificate(tmp_path)  # for localhost
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(certificate.certificate, certificate.key)
    trusting = ssl.create_default_context(cafile=str(certificate.authority))
    to_loopback = WebhookSender(
        rules=LOOPBACK, seconds=5, tls=trusting, resolve=lambda _host, _port: [ip_address("127.0.0.1")]
    )
    with receive(Receiver(), tls=shown) as receiver:
        tried = to_loopback.send(due(f"https://{host}:{receiver.port}/"))
        assert (tried.succeeded, len(receiver.messages)) == (taken, int(taken))
