"""Unseen images as a worker leaves them: rows of images and attributions, many at once, without any pixels."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Attribution, Image
from tests.attributors import EMBEDDING_DIM, FakeAttributor


def blob(seed: int, *, axis: int, count: int, spread: float = 1.0) -> NDArray[np.float32]:
    """Embeddings of a generator that the fake Attributor does not know."""
    draw = np.random.default_rng(seed)
    return (spread * draw.normal(size=(count, EMBEDDING_DIM)) + 12 * np.eye(EMBEDDING_DIM)[axis]).astype(
        np.float32
    )


def add_unseen(
    engine: Engine,
    model: FakeAttributor,
    embeddings: NDArray[np.float32],
    *,
    tenant: str,
    hashes: Sequence[int] | None = None,
    verdict: str = "unseen",
    generator: str | None = None,
) -> list[UUID]:
    """Record one image for each embedding; returns the images' ids."""
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, tenant)
        images: list[dict[str, Any]] = [
            {
                "id": uuid4(),
                "tenant_id": tenant_id,
                "sha256": uuid4().hex * 2,
                "size_bytes": 1,
                "format": "PNG",
                "width": 256,
                "height": 256,
                "perceptual_hash": None if hashes is None else hashes[row],
            }
            for row in range(len(embeddings))
        ]
        session.execute(insert(Image), images)
        p_values = model.density.p_values(embeddings)
        rows = [
            {
                "tenant_id": tenant_id,
                "image_id": image["id"],
                "model_version": model.version,
                "density_version": model.density_version,
                "verdict": verdict,
                "generator": generator,
                "p_value": float(p_values[row].max()),
                "smallest_p": float(model.density.smallest_p_.max()),
                "alpha": model.alpha,
                "reason": "test",
                "probabilities": {},
                "p_values": dict(zip(model.classes, p_values[row].tolist(), strict=True)),
                "explanation": {},
                "timings": {},
                "embedding": embeddings[row],
            }
            for row, image in enumerate(images)
        ]
        session.execute(insert(Attribution), rows)
    return [image["id"] for image in images]
