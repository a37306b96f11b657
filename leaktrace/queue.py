"""The queue: Celery's configuration, the names of queues and tasks, and how work is enqueued.

The message is the id of a shard; Postgres is the truth, so a lost message costs time and never an image (the sweeper
sends it again). The API enqueues by task name and never imports the worker. Enqueue only after commit:
`enqueue_after_commit` ties the send to the session's transaction.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError
from sqlalchemy import event
from sqlalchemy.orm import Session

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger

ATTRIBUTE_QUEUE = "attribute"
UPKEEP_QUEUE = "upkeep"
ATTRIBUTE_SHARD = "leaktrace.attribute_shard"
SWEEP = "leaktrace.sweep"
EXPIRE_BATCHES = "leaktrace.expire_batches"
RESCORE = "leaktrace.rescore"
REFIT_DENSITY = "leaktrace.refit_density"
DISCOVER = "leaktrace.discover"
ENROL = "leaktrace.enrol"
DELETE_BATCHES = "leaktrace.delete_batches"
TIDY_STORE = "leaktrace.tidy_store"
CHALLENGE = "leaktrace.challenge"
DELIVER = "leaktrace.deliver"
WATCH_DRIFT = "leaktrace.watch_drift"
DRAW_MAPS = "leaktrace.draw_maps"

# A message that is not acknowledged this long is delivered again. Claims in Postgres make a second delivery harmless,
# and the sweeper brings lost work back much sooner, so the value only has to outlast the slowest shard.
VISIBILITY_TIMEOUT_SECONDS = 900
UNACKED_RESTORE_INTERVAL_POLLS = 10
SEND_RETRY: dict[str, Any] = {
    "max_retries": 2,
    "interval_start": 0.05,
    "interval_step": 0.2,
    "interval_max": 0.5,
}

log = get_logger(__name__)


class QueueUnavailable(Unavailable):
    """The broker did not take the message; the sweeper enqueues what is recorded as soon as it is back."""

    code = "queue_unavailable"


def create_celery(broker_url: str, *, name: str = "leaktrace") -> Celery:
    """A Celery app with the settings that every process on this broker must share."""
    app = Celery(name, broker=broker_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # claims and the sweeper redeliver, with a cap; Celery's own has none
        worker_prefetch_multiplier=1,
        task_default_queue=UPKEEP_QUEUE,
        # Each with an exchange and key of its own: Celery would bind both to the default queue's, and every message of
        # one would reach the other too.
        task_queues=[
            Queue(name, Exchange(name), routing_key=name) for name in (ATTRIBUTE_QUEUE, UPKEEP_QUEUE)
        ],
        task_routes={ATTRIBUTE_SHARD: {"queue": ATTRIBUTE_QUEUE}},
        task_publish_retry_policy=SEND_RETRY,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "unacked_restore_interval": UNACKED_RESTORE_INTERVAL_POLLS,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 15,
        },
    )
    return app


class ShardQueue:
    """Sends shard ids to the workers."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, shard_ids: Iterable[UUID]) -> None:
        """Enqueue each shard once.

        Raises:
            QueueUnavailable: the broker did not answer; what was not sent stays recorded and is swept later.
        """
        try:
            with self._app.producer_or_acquire() as producer:
                for shard_id in shard_ids:
                    self._app.send_task(ATTRIBUTE_SHARD, args=[str(shard_id)], producer=producer)
        except (OperationalError, OSError) as error:
            raise QueueUnavailable(f"the broker did not take the shard: {error}") from error

    def length(self) -> int:
        """Messages that no worker has taken yet.

        Raises:
            QueueUnavailable: the broker did not answer.
        """
        try:
            with self._app.connection_or_acquire() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
                return _length(connection)
        except (OperationalError, OSError) as error:
            raise QueueUnavailable(f"the broker does not answer: {error}") from error

    def check(self) -> None:
        """Raise `QueueUnavailable` unless the broker answers."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except (OperationalError, OSError) as error:
            raise QueueUnavailable(f"the broker does not answer: {error}") from error


def _length(connection: Connection) -> int:
    channel: Any = connection.channel()
    try:
        declared = channel.queue_declare(queue=ATTRIBUTE_QUEUE, passive=True)
        return int(declared.message_count)
    except connection.channel_errors:
        return 0  # Redis has no list under the queue's name while the queue is empty.
    except connection.connection_errors as error:
        raise OperationalError(str(error)) from error
    finally:
        channel.close()


def enqueue_after_commit(session: Session, queue: ShardQueue, shard_ids: list[UUID]) -> None:
    """Send the shards when, and only when, the session's transaction has been committed.

    A broker that is away then is logged, not raised: the request has succeeded, and the sweeper sends the shards.
    """

    def send(_session: Session) -> None:
        try:
            queue.send(shard_ids)
        except QueueUnavailable as error:
            log.warning("shards_not_enqueued", shards=len(shard_ids), error=str(error))

    event.listen(session, "after_commit", send, once=True)
