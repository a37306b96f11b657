"""Celery's shared configuration and the rule that nothing is enqueued before its commit."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from leaktrace.queue import (
    ATTRIBUTE_QUEUE,
    ATTRIBUTE_SHARD,
    UPKEEP_QUEUE,
    QueueUnavailable,
    ShardQueue,
    create_celery,
    enqueue_after_commit,
)


class RecordingQueue(ShardQueue):
    def __init__(self, *, broken: bool = False) -> None:
        self.sent: list[UUID] = []
        self.broken = broken

    def send(self, shard_ids: object) -> None:
        if self.broken:
            raise QueueUnavailable("no broker")
        self.sent.extend(shard_ids)  # type: ignore[arg-type]


@pytest.fixture
def session() -> Session:
    return Session(create_engine("sqlite://"))


def test_shards_are_sent_after_commit(session: Session) -> None:
    queue, shard_id = RecordingQueue(), uuid4()
    with session:
        enqueue_after_commit(session, queue, [shard_id])
        session.execute(text("SELECT 1"))
        before = list(queue.sent)
        session.commit()
    assert (before, queue.sent) == ([], [shard_id])


def test_rolled_back_shards_stay(session: Session) -> None:
    queue = RecordingQueue()
    with session:
        session.execute(text("SELECT 1"))
        enqueue_after_commit(session, queue, [uuid4()])
        session.rollback()
    assert queue.sent == []


def test_absent_broker_does_not_raise(session: Session) -> None:
    with session:
        enqueue_after_commit(session, RecordingQueue(broken=True), [uuid4()])
        session.execute(text("SELECT 1"))
        session.commit()


def test_unreachable_broker_is_unavailable() -> None:
    with pytest.raises(QueueUnavailable, match="does not answer"):
        ShardQueue(create_celery("redis://127.0.0.1:9/0")).check()


def test_only_json_is_accepted() -> None:
    assert create_celery("redis://127.0.0.1:9/0").conf.accept_content == ["json"]


def test_shards_have_their_queue() -> None:
    app = create_celery("redis://127.0.0.1:9/0")
    assert app.conf.task_routes[ATTRIBUTE_SHARD]["queue"] == ATTRIBUTE_QUEUE


def test_queues_share_no_binding() -> None:
    queues = create_celery("redis://127.0.0.1:9/0").conf.task_queues
    assert {(queue.exchange.name, queue.routing_key) for queue in queues} == {
        (ATTRIBUTE_QUEUE, ATTRIBUTE_QUEUE),
        (UPKEEP_QUEUE, UPKEEP_QUEUE),
    }
