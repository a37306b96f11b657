"""Kombu's Redis transport, kept alive through a restart of the broker.

A task that outlives its connection is acknowledged, and a channel is closed, where no connection is left. Kombu 5.7
meets that with an `AttributeError`, which Celery takes for unrecoverable: the worker ends. Here it is the connection
error that it is, which both know how to live with; the broker delivers such a message again, and the claim in Postgres
makes that harmless. Knows nothing of shards or tasks.
"""

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as ConnectionLost


class Channel(redis.Channel):
    """A channel that can still be asked for something after its connection was lost."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """What a client needs to connect; raises ConnectionLost where nothing says to what."""
        connection: Any = self.connection
        if connection is None or connection.client is None:
            raise ConnectionLost("the connection of this channel was closed")
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]
        return parameters


class Transport(redis.Transport):
    """Kombu's transport with the channel above."""

    Channel = Channel
