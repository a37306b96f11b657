"""What is asked of a channel after its connection was closed, on the real broker."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection

from worker.broker import Transport


@pytest.fixture
def connection(broker_url: str) -> Iterator[Connection]:
    with Connection(broker_url, transport=Transport) as connection:
        yield connection


@pytest.mark.parametrize(
    "ask",
    [
        lambda channel: channel.basic_ack("tag"),
        lambda channel: channel.basic_reject("tag", requeue=True),
        lambda channel: channel.queue_purge("queue"),
    ],
    ids=["ack", "requeue", "purge"],
)
def test_closed_channel_lost_connection(connection: Connection, ask: Callable[[Any], None]) -> None:
    channel = connection.channel()
    connection.collect()
    with pytest.raises(connection.connection_errors, match="was closed"):
        ask(channel)


def test_open_channel_answers(connection: Connection) -> None:
    channel: Any = connection.channel()
    assert channel.queue_purge("queue") == 0
