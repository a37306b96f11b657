"""Serving the app, talking to it, and doing what a worker would do through the records, so that no model is needed."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import uvicorn
from PIL import Image as PillowImage
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from api.app import create_app
from leaktrace.records.database import transaction
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.models import Attribution, Item, ModelVersion, Shard, Worker
from leaktrace.records.shards import finish_batch_if_done
from leaktrace.settings import Settings

MODEL = "test-0123456789ab"
DENSITY = "test-0123456789ab-1"

MakeClient = Callable[..., httpx.Client]


@contextmanager
def serve_app(settings: Settings) -> Iterator[str]:
    """The app's base address while the block runs."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def create_batch(client: httpx.Client, **body: Any) -> str:
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def picture(seed: int = 0, *, side: int = 128) -> bytes:
    """A real JPEG, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def upload(
    client: httpx.Client, batch_id: str, files: dict[str, bytes], **headers: str
) -> list[dict[str, Any]]:
    """Upload files by custom_id; returns the answers."""
    parts = [("files", (name, data, "image/jpeg", headers)) for name, data in files.items()]
    answer = client.post(f"/v1/batches/{batch_id}/images", files=parts)
    assert answer.status_code == 200, answer.text
    answers: list[dict[str, Any]] = answer.json()["data"]
    return answers


def register_model(engine: Engine, *, alive: bool = True, activated_at: datetime | None = None) -> None:
    """What a worker does when it has loaded its model."""
    now = datetime.now(UTC)
    with transaction(engine) as session:
        session.merge(
            ModelVersion(version=MODEL, card={"name": "test"}, classes=["sd-2.1", "real"], embedding_dim=3)
        )
        session.flush()
        session.merge(
            DensityVersion(
                version=DENSITY,
                model_version=MODEL,
                state="active",
                object_key="densities/test",
                sha256="0" * 64,
                known_images=2,
                reason="first",
                activated_at=activated_at or now,
            )
        )
        seen_at = now + timedelta(hours=1) if alive else now - timedelta(minutes=5)
        session.merge(
            Worker(id="worker-1", model_version=MODEL, density_version=DENSITY, device="cpu", seen_at=seen_at)
        )


def attribute_batch(engine: Engine, batch_id: str, *, failed: tuple[str, ...] = ()) -> None:
    """What a worker does with a closed batch: attribute every image, or fail the custom_ids given."""
    with transaction(engine) as session:
        items = session.scalars(select(Item).where(Item.batch_id == UUID(batch_id), Item.state == "pending"))
        for item in items.all():
            if item.custom_id in failed:
                item.state, item.error_code, item.error_detail = "failed", "truncated", "the file ends early"
            else:
                item.attribution_id = _attribute(session, item)
                item.state = "succeeded"
        session.execute(update(Shard).where(Shard.batch_id == UUID(batch_id)).values(state="done"))
        session.flush()
        assert finish_batch_if_done(session, UUID(batch_id)) is not None


CALIBRATION = {
    "stratum": "not-jpeg/under-512px",
    "classes": {"sd-2.1": {"images": 120, "of": "stratum"}, "real": {"images": 99, "of": "class"}},
}


def complete_batch(
    client: httpx.Client,
    engine: Engine,
    files: dict[str, bytes],
    *,
    failed: tuple[str, ...] = (),
    **facts: Any,
) -> str:
    """A new batch of these files, closed and attributed; `facts` are told when it is created."""
    batch_id = create_batch(client, **facts)
    upload(client, batch_id, files)
    client.post(f"/v1/batches/{batch_id}/close")
    attribute_batch(engine, batch_id, failed=failed)
    return batch_id


def _attribute(session: Session, item: Item) -> UUID:
    found = session.scalars(select(Attribution.id).where(Attribution.image_id == item.image_id)).one_or_none()
    if found is not None:
        return UUID(str(found))
    attribution = Attribution(
        tenant_id=item.tenant_id,
        image_id=item.image_id,
        model_version=MODEL,
        density_version=DENSITY,
        verdict="generator",
        generator="sd-2.1",
        p_value=0.5,
        smallest_p=0.01,
        alpha=0.05,
        reason="it is typical of sd-2.1",
        probabilities={"sd-2.1": 0.9, "real": 0.1},
        p_values={"sd-2.1": 0.5, "real": 0.01},
        calibration=CALIBRATION,
        explanation={"steps": []},
        timings={"attribute": 0.1},
        embedding=[0.0, 1.0, 2.0],
    )
    session.add(attribution)
    session.flush()
    return attribution.id
