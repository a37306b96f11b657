"""Deliveries on a real database, to real receivers: signed, retried, shared out, given up, none in another's way."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, update

from leaktrace.addresses import AddressRules
from leaktrace.records.database import transaction
from leaktrace.records.deliveries import (
    RETRY_AFTER,
    EndpointLease,
    Try,
    lease_endpoints,
    record_try,
    take_due,
)
from leaktrace.records.events import EVENT_TYPES, announce
from leaktrace.records.keys import Caller, ensure_tenant
from leaktrace.records.webhook_models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from leaktrace.records.webhooks import create_webhook, new_secret, purge_events, renew_secrets
from leaktrace.sealing import SecretSeal
from tests.receiver import Receiver, receive
from tests.submissions import wait_until
from worker.deliveries import Deliverer
from worker.halt import Halt
from worker.webhook_sender import WebhookSender

KEY = "k" * 32
SEAL = SecretSeal([KEY])


@dataclass
class Hooks:
    """Endpoints of one tenant, and what became of what was sent to them."""

    engine: Engine
    tenant_id: UUID

    def add(self, url: str) -> WebhookEndpoint:
        caller = Caller(self.tenant_id, "test", frozenset())
        with transaction(self.engine) as session:
            return create_webhook(
                session,
                caller,
                url=url,
                events=EVENT_TYPES,
                description="",
                secret=SEAL.seal(new_secret()),
                most=50,
            )

    def announce(self, *names: str) -> None:
        with transaction(self.engine) as session:
            for name in names:
                announce(session, self.tenant_id, "batch.finished", {"name": name})

    def deliveries(self, endpoint: WebhookEndpoint) -> list[WebhookDelivery]:
        with transaction(self.engine) as session:
            statement = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id)
            return list(session.scalars(statement.order_by(WebhookDelivery.id)))

    def states(self, endpoint: WebhookEndpoint) -> list[str]:
        return [delivery.state for delivery in self.deliveries(endpoint)]

    def endpoint(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        with transaction(self.engine) as session:
            return session.get_one(WebhookEndpoint, endpoint.id)

    def make_due(self) -> None:
        with transaction(self.engine) as session:
            session.execute(update(WebhookDelivery).values(next_attempt_at=datetime.now(UTC)))

    def lease(self, endpoint: WebhookEndpoint, owner: str = "me") -> EndpointLease:
        with transaction(self.engine) as session:
            leases = [
                lease
                for failing in (False, True)
                for lease in lease_endpoints(session, owner, limit=100, seconds=60, failing=failing)
            ]
        (mine,) = [lease for lease in leases if lease.endpoint_id == endpoint.id]
        return mine

    def fail(self, endpoint: WebhookEndpoint, tried: Try) -> None:
        """One failed try of the endpoint's only delivery, as a worker records it."""
        lease, (delivery,) = self.lease(endpoint), self.deliveries(endpoint)
        with transaction(self.engine) as session:
            assert record_try(session, lease, delivery.id, tried=tried)
            session.execute(update(WebhookEndpoint).values(lease_owner=None, lease_expires_at=None))
        self.make_due()


@pytest.fixture
def hooks(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Hooks]:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, request.node.name)
    yield Hooks(engine, tenant_id)
    with transaction(engine) as session:
        session.execute(update(WebhookEndpoint).values(disabled_at=datetime.now(UTC)))


@pytest.fixture
def make_deliverer(engine: Engine) -> Iterator[Callable[..., Deliverer]]:
    made: list[Deliverer] = []

    def make(*, owner: str = "worker", seconds: float = 5.0, seal: SecretSeal = SEAL) -> Deliverer:
        sender = WebhookSender(rules=AddressRules((ip_network("127.0.0.0/8"),)), seconds=seconds, seal=seal)
        made.append(Deliverer(engine, sender, owner=owner, lease_seconds=30, halt=Halt()))
        return made[-1]

    yield make
    for deliverer in made:
        deliverer.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive(Receiver()) as receiver:
        yield receiver


REFUSED = Try(status=500, error="the receiver answered 500", milliseconds=1)


def test_messages_come_in_order(
    hooks: Hooks, make_deliverer: Callable[..., Deliverer], receiver: Receiver
) -> None:
    endpoint = hooks.add(receiver.url)
    hooks.announce("first", "second", "third")
    make_deliverer().run()
    wait_until(lambda: hooks.states(endpoint) == ["delivered"] * 3)
    told = [message.verified(SEAL.open(endpoint.secret))["data"]["name"] for message in receiver.messages]
    assert told == ["first", "second", "third"]


def test_renewed_secret_signs_on(
    hooks: Hooks, make_deliverer: Callable[..., Deliverer], receiver: Receiver
) -> None:
    endpoint, new = hooks.add(receiver.url), "n" * 32
    with transaction(hooks.engine) as session:
        renew_secrets(session, SecretSeal([new, KEY]).renew)
    hooks.announce("first")
    make_deliverer(seal=SecretSeal([new])).run()
    wait_until(lambda: hooks.states(endpoint) == ["delivered"])
    assert receiver.messages[0].verified(SEAL.open(endpoint.secret))["data"]["name"] == "first"


def test_two_workers_send_once(
    hooks: Hooks, make_deliverer: Callable[..., Deliverer], receiver: Receiver
) -> None:
    endpoint = hooks.add(receiver.url)
    receiver.wait_seconds = 0.1
    hooks.announce("one", "two")
    begun = [make_deliverer(owner=owner).run() for owner in ("first", "second")]
    wait_until(lambda: hooks.states(endpoint) == ["delivered"] * 2)
    assert (begun, len(receiver.messages)) == ([1, 0], 2)


def test_slow_receiver_holds_up_nobody(
    hooks: Hooks, make_deliverer: Callable[..., Deliverer], receiver: Receiver
) -> None:
    with receive(Receiver(wait_seconds=3.0)) as slow:
        slow_endpoints = [hooks.add(slow.url) for _ in range(4)]
        quick = hooks.add(receiver.url)
        hooks.announce("both")
        started = time.monotonic()
        make_deliverer().run()
        wait_until(lambda: hooks.states(quick) == ["delivered"])
        took = time.monotonic() - started
        assert ([hooks.states(each) for each in slow_endpoints], took < 2.5) == ([["pending"]] * 4, True)


def test_failing_receivers_leave_room(hooks: Hooks, make_deliverer: Callable[..., Deliverer]) -> None:
    with receive(Receiver(wait_seconds=2.0)) as silent, receive(Receiver()) as quick_one:
        for _ in range(20):
            hooks.add(silent.url)
        with transaction(hooks.engine) as session:
            session.execute(update(WebhookEndpoint).values(failing_since=datetime.now(UTC)))
        hooks.announce("busy")
        deliverer = make_deliverer(seconds=2.0)
        failing_begun = deliverer.run()
        quick = hooks.add(quick_one.url)
        hooks.announce("through")
        started = time.monotonic()
        deliverer.run()
        wait_until(lambda: hooks.states(quick) == ["delivered"])
        assert (failing_begun, time.monotonic() - started < 1.5) == (8, True)


def test_refused_message_is_retried_later(
    hooks: Hooks, make_deliverer: Callable[..., Deliverer], receiver: Receiver
) -> None:
    endpoint = hooks.add(receiver.url)
    receiver.status = 503
    hooks.announce("hello")
    deliverer = make_deliverer()
    deliverer.run()
    wait_until(lambda: bool(hooks.deliveries(endpoint)[0].tries))
    (waiting,) = hooks.deliveries(endpoint)
    planned = waiting.next_attempt_at - datetime.fromisoformat(waiting.tries[0]["at"])
    receiver.status = 200
    wait_until(lambda: hooks.endpoint(endpoint).lease_owner is None)
    hooks.make_due()
    deliverer.run()
    wait_until(lambda: hooks.states(endpoint) == ["delivered"])
    assert (waiting.state, planned, receiver.messages[0].id) == (
        *("pending", timedelta(seconds=5), receiver.messages[1].id),
    )
    assert hooks.endpoint(endpoint).failing_since is None


def test_delivery_is_given_up_after_days(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("hopeless")
    waits: list[timedelta] = []
    for _ in range(len(RETRY_AFTER)):
        before = datetime.now(UTC)
        lease, (delivery,) = hooks.lease(endpoint), hooks.deliveries(endpoint)
        with transaction(hooks.engine) as session:
            record_try(session, lease, delivery.id, tried=REFUSED)
            session.execute(update(WebhookEndpoint).values(lease_owner=None, lease_expires_at=None))
        waits.append(hooks.deliveries(endpoint)[0].next_attempt_at - before)
        hooks.make_due()
    hooks.fail(endpoint, REFUSED)
    assert hooks.states(endpoint) == ["failed"]
    assert (waits == sorted(waits), sum(waits, timedelta(0)) > timedelta(days=3)) == (True, True)


def test_asked_wait_is_kept(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("later")
    lease, (delivery,) = hooks.lease(endpoint), hooks.deliveries(endpoint)
    with transaction(hooks.engine) as session:
        busy = Try(status=429, error="busy", milliseconds=1, retry_after=timedelta(hours=1))
        record_try(session, lease, delivery.id, tried=busy)
    assert hooks.deliveries(endpoint)[0].next_attempt_at > datetime.now(UTC) + timedelta(minutes=59)


def test_endpoint_that_fails_for_days_is_disabled(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("lost")
    with transaction(hooks.engine) as session:
        long_ago = datetime.now(UTC) - timedelta(days=6)
        session.execute(
            update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id).values(failing_since=long_ago)
        )
    hooks.fail(endpoint, REFUSED)
    reason = hooks.endpoint(endpoint).disabled_reason
    assert reason is not None
    assert reason.endswith("failed: the receiver answered 500")


def test_receiver_that_is_gone_is_disabled(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("lost")
    hooks.fail(endpoint, Try(status=410, error="the receiver answered 410", milliseconds=1))
    assert hooks.endpoint(endpoint).disabled_reason == "the receiver answered 410 Gone"


def test_lost_lease_records_nothing(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("twice")
    lost = hooks.lease(endpoint)
    with transaction(hooks.engine) as session:
        session.execute(update(WebhookEndpoint).values(lease_expires_at=datetime.now(UTC)))
    hooks.lease(endpoint, owner="another")
    (delivery,) = hooks.deliveries(endpoint)
    with transaction(hooks.engine) as session:
        assert take_due(session, lost, seconds=60) is None
        assert not record_try(session, lost, delivery.id, tried=REFUSED)


def test_old_events_are_purged(hooks: Hooks) -> None:
    endpoint = hooks.add("https://hooks.example.com/")
    hooks.announce("old")
    with transaction(hooks.engine) as session:
        session.execute(update(WebhookEvent).values(created_at=datetime.now(UTC) - timedelta(days=31)))
    hooks.announce("new")
    with transaction(hooks.engine) as session:
        purge_events(session)
    assert len(hooks.deliveries(endpoint)) == 1
