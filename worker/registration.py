"""What a process does before it takes work: record its model, build the model's index, publish its density.

All of it can be done by several workers at once and again at every start. Knows nothing of shards.
"""

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore, density_key
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, active_density, publish_first_density
from leaktrace.records.embedding_index import ensure_embedding_index
from leaktrace.records.registry import register_model
from worker.backoff import Backoff
from worker.bench import DENSITY_CONTENT_TYPE
from worker.density_facts import describe, training_data

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

Answer = TypeVar("Answer")
log = get_logger(__name__)


def register(attributor: "Attributor", *, engine: Engine, store: ObjectStore) -> None:
    """Make the model's rows, index and first density exist.

    Raises:
        Unavailable: the database or the store is away; nothing is half done that a second call does not complete.
    """
    with transaction(engine) as session:
        register_model(
            session,
            attributor.version,
            card=attributor.card,
            classes=attributor.classes,
            embedding_dim=attributor.embedding_dim,
            judged_dim=attributor.judged_dim,
        )
    ensure_embedding_index(
        engine,
        attributor.version,
        embedding_dim=attributor.embedding_dim,
        judged_dim=attributor.judged_dim,
    )
    publish_own_density(attributor, engine=engine, store=store)


def publish_own_density(attributor: "Attributor", *, engine: Engine, store: ObjectStore) -> bool:
    """Publish the density in use as its model's first one; False when the model has an active one already.

    The artefact is stored before the row, so that a row never points at nothing.
    """
    with transaction(engine) as session:
        if active_density(session, attributor.version) is not None:
            return False
    artefact = attributor.density.to_bytes()
    checkpoint = DensityCheckpoint(
        version=attributor.density_version,
        object_key=density_key(attributor.version, attributor.density_version),
        sha256=hashlib.sha256(artefact).hexdigest(),
        known_images=len(attributor.density.embeddings_),
    )
    store.put(checkpoint.object_key, artefact, content_type=DENSITY_CONTENT_TYPE)
    with transaction(engine) as session:
        published = publish_first_density(
            session, checkpoint, model_version=attributor.version, details=_facts(attributor)
        )
    if published:
        log.info("density_published", density_version=checkpoint.version)
    return published


def insist(step: Callable[[], Answer]) -> Answer:
    """Do the step until the servers it needs are there; for the start of a process, which has nothing else to do."""
    backoff = Backoff()
    while True:
        try:
            return step()
        except Unavailable as error:
            log.warning("waiting_for_servers", error=str(error))
            time.sleep(backoff.fail())


def _facts(attributor: "Attributor") -> dict[str, object]:
    return {**describe(attributor.density, attributor.card), "data": training_data(attributor.card)}
