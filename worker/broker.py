"""Kombu's Redis transport, kept alive through a restart of the broker.

A task that outlives its connection is acknowledged on a channel that has none left. Kombu 5.7 may meet that with an
`AttributeError`, which Celery takes for unrecoverable: the worker ends. Here such an answer is dropped and logged; the
broker delivers the message again, and the claim in Postgres makes that harmless. Knows nothing of shards or tasks.
"""

from typing import Any

from kombu.transport import redis

from leaktrace.logs import get_logger

log = get_logger(__name__)


class Channel(redis.Channel):
    """A channel whose answers to messages may come after its connection was lost."""

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge the message, unless the connection that brought it is gone."""
        if not self._is_lost("ack", delivery_tag):
            super().basic_ack(delivery_tag, multiple=multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Refuse the message, unless the connection that brought it is gone."""
        if not self._is_lost("reject", delivery_tag):
            super().basic_reject(delivery_tag, requeue=requeue)

    def _is_lost(self, answer: str, delivery_tag: str) -> bool:
        connection: Any = self.connection
        lost = connection is None or connection.client is None
        if lost:
            log.info("answer_to_lost_connection", answer=answer, delivery_tag=delivery_tag)
        return lost


class Transport(redis.Transport):
    """Kombu's transport with the channel above."""

    Channel = Channel
