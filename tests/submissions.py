"""Batches for the tests of the worker, recorded as the API records them, and what became of them."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID

import numpy as np
from PIL import Image as Picture
from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from leaktrace.objects import ObjectStore, image_key, staged_key
from leaktrace.queue import ShardQueue, enqueue_after_commit
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Attribution, Batch, Image, Item, Shard
from leaktrace.records.shards import enter_state, form_shards

POLL_SECONDS = 0.02


def picture(seed: int, *, side: int = 128) -> bytes:
    """A PNG that differs for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    file = BytesIO()
    Picture.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def pictures(count: int, *, first_seed: int = 0) -> dict[str, bytes]:
    return {f"image-{seed}": picture(seed) for seed in range(first_seed, first_seed + count)}


def wait_until(holds: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Submissions:
    """What a client of the service would do and see, without the API between."""

    engine: Engine
    store: ObjectStore
    queue: ShardQueue
    tenant: str = "tests"

    @property
    def tenant_id(self) -> UUID:
        with transaction(self.engine) as session:
            return ensure_tenant(session, self.tenant)

    def open(self, *, expires_in: timedelta = timedelta(hours=1)) -> UUID:
        with transaction(self.engine) as session:
            tenant_id = ensure_tenant(session, self.tenant)
            batch = Batch(tenant_id=tenant_id, expires_at=datetime.now(UTC) + expires_in)
            session.add(batch)
            session.flush()
            return batch.id

    def upload(self, batch_id: UUID, files: Mapping[str, bytes]) -> None:
        tenant_id = self.tenant_id
        for custom_id, data in files.items():
            sha256 = hashlib.sha256(data).hexdigest()
            self.store.put(image_key(tenant_id, sha256), data, content_type="application/octet-stream")
            row = {"tenant_id": tenant_id, "sha256": sha256, "size_bytes": len(data)}
            with transaction(self.engine) as session:
                session.execute(insert(Image).values(row).on_conflict_do_nothing())
                image_id = session.execute(
                    select(Image.id).where(Image.tenant_id == tenant_id, Image.sha256 == sha256)
                ).scalar_one()
                session.add(
                    Item(tenant_id=tenant_id, batch_id=batch_id, custom_id=custom_id, image_id=image_id)
                )

    def stage(self, batch_id: UUID, custom_id: str, data: bytes | None, *, sha256: str | None = None) -> UUID:
        """A presigned upload: `data` is what arrived, if anything did, `sha256` what the client promised."""
        promised = sha256 or hashlib.sha256(data or b"").hexdigest()
        tenant_id = self.tenant_id
        with transaction(self.engine) as session:
            item = Item(tenant_id=tenant_id, batch_id=batch_id, custom_id=custom_id, staged_sha256=promised)
            session.add(item)
            session.flush()
            item_id = item.id
        if data is not None:
            self.store.put(staged_key(tenant_id, item_id), data, content_type="application/octet-stream")
        return item_id

    def close(self, batch_id: UUID, *, shard_images: int = 4, send: bool = True) -> list[UUID]:
        with transaction(self.engine) as session:
            batch = session.get_one(Batch, batch_id)
            shard_ids = form_shards(session, batch, shard_images=shard_images)
            enter_state(batch, "queued")
            if send:
                enqueue_after_commit(session, self.queue, shard_ids)
        return shard_ids

    def submit(
        self, files: Mapping[str, bytes], *, shard_images: int = 4, send: bool = True
    ) -> tuple[UUID, list[UUID]]:
        batch_id = self.open()
        self.upload(batch_id, files)
        return batch_id, self.close(batch_id, shard_images=shard_images, send=send)

    def state(self, batch_id: UUID) -> str:
        with transaction(self.engine) as session:
            return session.get_one(Batch, batch_id).state

    def counts(self, batch_id: UUID) -> dict[str, int]:
        with transaction(self.engine) as session:
            states = session.scalars(select(Item.state).where(Item.batch_id == batch_id))
            return dict(Counter(states))

    def items(self, batch_id: UUID) -> dict[str, Item]:
        with transaction(self.engine) as session:
            found = session.scalars(select(Item).where(Item.batch_id == batch_id))
            return {item.custom_id: item for item in found}

    def image_of(self, batch_id: UUID, custom_id: str) -> Image:
        with transaction(self.engine) as session:
            return session.get_one(Image, self.items(batch_id)[custom_id].image_id)

    def attribution_of(self, batch_id: UUID, custom_id: str) -> Attribution:
        with transaction(self.engine) as session:
            return session.get_one(Attribution, self.items(batch_id)[custom_id].attribution_id)

    def codes(self, batch_id: UUID) -> dict[str, str | None]:
        return {custom_id: item.error_code for custom_id, item in self.items(batch_id).items()}

    def shards(self, batch_id: UUID) -> list[Shard]:
        with transaction(self.engine) as session:
            return list(session.scalars(select(Shard).where(Shard.batch_id == batch_id).order_by(Shard.id)))

    def attributions(self) -> int:
        with transaction(self.engine) as session:
            return session.execute(select(func.count()).select_from(Attribution)).scalar_one()

    def wait_for(self, batch_id: UUID, state: str = "completed", *, seconds: float = 90.0) -> None:
        wait_until(lambda: self.state(batch_id) == state, seconds=seconds)
