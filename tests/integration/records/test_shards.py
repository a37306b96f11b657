"""Cutting items into shards, and completing a batch exactly when its last shard is done."""

from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Batch, Item, Shard
from leaktrace.records.shards import enter_state, finish_batch_if_done, form_shards


def new_batch(session: Session, *, items: int) -> Batch:
    batch = Batch(tenant_id=ensure_tenant(session, "acme"), expires_at=datetime.now(UTC))
    session.add(batch)
    session.flush()
    rows = [{"tenant_id": batch.tenant_id, "batch_id": batch.id, "custom_id": str(i)} for i in range(items)]
    if rows:
        session.execute(insert(Item), rows)
    return batch


@pytest.mark.parametrize(
    ("items", "sizes"), [(0, []), (1, [1]), (64, [64]), (65, [1, 64]), (150, [22, 64, 64])]
)
def test_shards_hold_every_item_once(engine: Engine, items: int, sizes: list[int]) -> None:
    with transaction(engine) as session:
        batch = new_batch(session, items=items)
        shard_ids = form_shards(session, batch, shard_images=64)
        counts = select(func.count()).where(Item.batch_id == batch.id).group_by(Item.shard_id)
        assert sorted(session.scalars(counts)) == sizes
        assert len(shard_ids) == len(sizes)


def test_forming_again_finds_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = new_batch(session, items=3)
        form_shards(session, batch, shard_images=2)
        assert form_shards(session, batch, shard_images=2) == []


def test_unfinished_shard_keeps_batch_open(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = new_batch(session, items=3)
        form_shards(session, batch, shard_images=2)
        enter_state(batch, "in_progress")
        session.flush()
        assert finish_batch_if_done(session, batch.id) is None


def test_cancelling_batch_ends_cancelled(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = new_batch(session, items=0)
        enter_state(batch, "cancelling")
        session.flush()
        assert finish_batch_if_done(session, batch.id) == "cancelled"


def test_uploading_batch_is_left_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        assert finish_batch_if_done(session, new_batch(session, items=0).id) is None


def test_racing_last_shards_complete_once(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = new_batch(session, items=2)
        shard_ids = form_shards(session, batch, shard_images=1)
        enter_state(batch, "in_progress")
    outcomes: list[str | None] = []
    barrier = Barrier(2)

    def finish(shard_id: object) -> None:
        with transaction(engine) as session:
            session.execute(update(Shard).where(Shard.id == shard_id).values(state="done"))
            barrier.wait()
            outcomes.append(finish_batch_if_done(session, batch.id))

    threads = [Thread(target=finish, args=(shard_id,)) for shard_id in shard_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [None, "completed"]
