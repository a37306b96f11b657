"""The scheduled refit of a model's density: looks whether one is due, and records each run with its reason.

A refit is due after enough newly confirmed images. Nobody can confirm an image yet, and unseen images never join the
known density by themselves, so each run finds none; it still makes sure that what is published can be used.
"""

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectMissing, ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, active_density, models_in_use, record_refit
from leaktrace.records.locks import REFIT_LOCK, try_lock
from worker.registration import DENSITY_CONTENT_TYPE, publish_own_density

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

CONFIRMED_IMAGES = 200
CONFIRMED_SHARE = 0.05

log = get_logger(__name__)


def images_until_due(known_images: int) -> int:
    """Newly confirmed images that make a refit worth while: 200, or 5 % of the known ones when that is fewer."""
    return max(1, min(CONFIRMED_IMAGES, round(CONFIRMED_SHARE * known_images)))


def refit(attributor: "Attributor", *, engine: Engine, store: ObjectStore) -> bool:
    """Look after the density of every model in use unless somebody else does so now; says whether it did.

    Raises:
        Unavailable: the database or the store is away; the next run looks again.
    """
    with transaction(engine) as guard:
        if not try_lock(guard, REFIT_LOCK):
            return False
        with transaction(engine) as session:
            versions = {*models_in_use(session), attributor.version}
        for version in sorted(versions):
            _look_after(version, attributor, engine=engine, store=store)
    return True


def _look_after(version: str, attributor: "Attributor", *, engine: Engine, store: ObjectStore) -> None:
    with transaction(engine) as session:
        checkpoint = active_density(session, version)
    if checkpoint is None:
        outcome, reason = _publish(version, attributor, engine=engine, store=store)
    elif not _is_intact(checkpoint, store):
        outcome, reason = _restore(checkpoint, attributor, store=store)
    else:
        needed = images_until_due(checkpoint.known_images)
        outcome, reason = "no_change", f"0 of {needed} newly confirmed images"
    with transaction(engine) as session:
        record_refit(
            session, version, outcome=outcome, reason=reason, density_version=_version_of(checkpoint)
        )
    log.info("refit_recorded", model_version=version, outcome=outcome, reason=reason)


def _publish(
    version: str, attributor: "Attributor", *, engine: Engine, store: ObjectStore
) -> tuple[str, str]:
    if version != attributor.version:
        return (
            "refused",
            "no density is active, and this worker runs another model: its own workers publish one",
        )
    publish_own_density(attributor, engine=engine, store=store)
    return "published", "no density was active"


def _restore(
    checkpoint: DensityCheckpoint, attributor: "Attributor", *, store: ObjectStore
) -> tuple[str, str]:
    """Store a lost or damaged artefact again from the copy in memory, when it is the same to the last byte."""
    artefact = attributor.density.to_bytes()
    if hashlib.sha256(artefact).hexdigest() != checkpoint.sha256:
        return "refused", f"{checkpoint.object_key} is lost or damaged, and this worker holds no copy of it"
    store.put(checkpoint.object_key, artefact, content_type=DENSITY_CONTENT_TYPE)
    return "published", f"{checkpoint.object_key} was lost or damaged and was stored again"


def _is_intact(checkpoint: DensityCheckpoint, store: ObjectStore) -> bool:
    try:
        artefact = store.get(checkpoint.object_key)
    except ObjectMissing:
        return False
    return hashlib.sha256(artefact).hexdigest() == checkpoint.sha256


def _version_of(checkpoint: DensityCheckpoint | None) -> str | None:
    return checkpoint.version if checkpoint is not None else None
