"""Queue and database time of an image, by a real worker that has nothing else to do.

Timed from the close of a batch to its completion: forming shards, messages, claims, leases, saving, finishing. Items
are recorded beforehand as uploads record them. Images and science take no part (see `weightless_worker`).
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, insert, select

from benchmarks.weightless_worker import payload
from deploy.embedded.servers import EmbeddedServers, remove_data
from deploy.embedded.stack import settings_from
from leaktrace.queue import ShardQueue, create_celery, enqueue_after_commit
from leaktrace.records.batches import close_batch
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Batch, Image, Item, Worker
from leaktrace.settings import Settings
from migrations.run import upgrade

TENANT = "overhead"
POLL_SECONDS = 0.01
WAIT_SECONDS = 300.0


def milliseconds_per_image(*, images: int, batches: int) -> list[float]:
    """Milliseconds an image of each of `batches` batches of `images` images; one more goes first, to warm up."""
    with tempfile.TemporaryDirectory(prefix="leaktrace-bench-") as directory:
        data_dir = Path(directory) / "data"
        with EmbeddedServers(data_dir) as servers:
            environment = os.environ | servers.environment()
            settings = settings_from(environment)
            upgrade(settings.database_url.get_secret_value())
            engine = connect_database(settings)
            with _worker(environment, images=images * (batches + 1)):
                _wait_for_worker(engine)
                taken = [
                    _batch_seconds(engine, settings, images=images, series=n) for n in range(batches + 1)
                ]
            engine.dispose()
        remove_data(data_dir)
    return [1000 * seconds / images for seconds in taken[1:]]


@contextmanager
def _worker(environment: dict[str, str], *, images: int) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.weightless_worker", str(images)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _wait_for_worker(engine: Engine) -> None:
    def has_registered() -> bool:
        with transaction(engine) as session:
            return session.execute(select(Worker.id)).first() is not None

    _wait_until(has_registered)


def _batch_seconds(engine: Engine, settings: Settings, *, images: int, series: int) -> float:
    queue = ShardQueue(create_celery(settings.broker_url.get_secret_value()))
    tenant_id, batch_id = _recorded_batch(engine, range(series * images, (series + 1) * images))
    started = time.perf_counter()
    with transaction(engine) as session:
        _, shard_ids = close_batch(session, tenant_id, batch_id=batch_id, shard_images=settings.shard_images)
        enqueue_after_commit(session, queue, shard_ids)

    def is_complete() -> bool:
        with transaction(engine) as session:
            return session.get_one(Batch, batch_id).state == "completed"

    _wait_until(is_complete)
    return time.perf_counter() - started


def _recorded_batch(engine: Engine, numbers: range) -> tuple[UUID, UUID]:
    """A batch of numbered images, as uploads would have left it."""
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, TENANT)
        batch = Batch(tenant_id=tenant_id, expires_at=datetime.now(UTC) + timedelta(hours=1))
        session.add(batch)
        session.flush()
        images = [
            {
                "tenant_id": tenant_id,
                "sha256": hashlib.sha256(payload(number)).hexdigest(),
                "size_bytes": len(payload(number)),
            }
            for number in numbers
        ]
        image_ids = session.scalars(insert(Image).returning(Image.id), images).all()
        items = [
            {"tenant_id": tenant_id, "batch_id": batch.id, "custom_id": str(image_id), "image_id": image_id}
            for image_id in image_ids
        ]
        session.execute(insert(Item), items)
        return tenant_id, batch.id


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("the worker did not do its work in time")
        time.sleep(POLL_SECONDS)
