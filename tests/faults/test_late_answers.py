"""A message that is answered when the broker that brought it was killed and came back."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import redis
from kombu import Connection, Message

from deploy.embedded.servers import EmbeddedServers
from worker.broker import Transport


@pytest.fixture
def connection(broker_url: str) -> Iterator[Connection]:
    with Connection(broker_url, transport=Transport) as connection:
        yield connection


def received(connection: Connection, queue_name: str) -> Message:
    with connection.SimpleQueue(queue_name) as queue:
        queue.put({})
    message: Message = connection.SimpleQueue(queue_name).get(timeout=5)
    return message


def unacknowledged(broker_url: str) -> int:
    with redis.Redis.from_url(broker_url) as client:
        return int(client.hlen("unacked"))


@pytest.mark.parametrize("answer", [Message.ack, Message.reject, Message.requeue])
def test_late_answer_is_dropped(
    servers: EmbeddedServers, connection: Connection, broker_url: str, answer: Callable[[Message], None]
) -> None:
    message = received(connection, uuid4().hex)
    before = unacknowledged(broker_url)
    servers.valkey.kill()
    connection.collect()
    servers.valkey.restart()
    answer(message)
    assert (message.acknowledged, unacknowledged(broker_url)) == (True, before)


def test_timely_ack_is_sent(connection: Connection, broker_url: str) -> None:
    message = received(connection, uuid4().hex)
    before = unacknowledged(broker_url)
    message.ack()
    assert unacknowledged(broker_url) == before - 1
