"""Looks for groups in each tenant's quarantine and keeps them as candidate generators, with thumbnails.

One run at a time (advisory lock), each tenant in a transaction of its own, so that a run that is broken off loses
nothing. A tenant's images are only ever compared with one another and with what the model knows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from sqlalchemy import Engine

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectMissing, ObjectStore, image_key, thumbnail_key
from leaktrace.records.candidates import FoundGroup, save_groups
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, active_density
from leaktrace.records.discovery_runs import record_run
from leaktrace.records.locks import DISCOVERY_LOCK
from leaktrace.records.quarantine import (
    HeldImage,
    QuarantineRules,
    day_of,
    read_mature,
    tenants_in_quarantine,
)
from leaktrace.records.quarantine_words import list_called_unknown
from leaktrace.science.discovery import DiscoveryRules, Group, discover
from leaktrace.science.images import ImageRefused, decode
from worker.loaded_models import read_density
from worker.periodic import run_alone
from worker.quarantine import fill_quarantine
from worker.thumbnails import draw_thumbnail, store_thumbnail

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.density import OpenSetDensity

IMAGES_A_RUN = 5_000
# A group from one batch, day and format may be a batch's subject or format instead of a generator.
ONE_SOURCE_CONFIDENCE = 0.5

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Discoverer:
    """One run is one call of `run`."""

    engine: Engine
    store: ObjectStore
    quarantine: QuarantineRules
    rules: DiscoveryRules

    def run(self, attributor: "Attributor") -> bool:
        """Fill the quarantine and look for groups, unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run starts afresh.
        """
        return run_alone(self.engine, DISCOVERY_LOCK, partial(self._look_everywhere, attributor))

    def _look_everywhere(self, attributor: "Attributor") -> None:
        fill_quarantine(self.engine, attributor.version, rules=self.quarantine)
        with transaction(self.engine) as session:
            tenants = tenants_in_quarantine(session, attributor.version)
        for tenant_id in tenants:
            self._look(tenant_id, attributor)

    def _look(self, tenant_id: UUID, attributor: "Attributor") -> None:
        version = attributor.version
        with transaction(self.engine) as session:
            held = read_mature(session, tenant_id, model_version=version, limit=IMAGES_A_RUN)
            own = active_density(session, version, tenant_id=tenant_id)
            images = [one.image_id for one in held]
            confirmed = list_called_unknown(session, version, image_ids=images)
        groups = self._groups(held, own, attributor)
        with transaction(self.engine) as session:
            before = {one.id: one.candidate_id for one in held if one.candidate_id is not None}
            found = [_as_record(group, held, confirmed=confirmed) for group in groups]
            kept = save_groups(session, tenant_id, model_version=version, groups=found, before=before)
            record_run(session, tenant_id, model_version=version, images=len(held), candidates=len(kept))
        for group in groups:
            self._draw_thumbnails(tenant_id, [held[row] for row in group.medoids])
        log.info("discovery_run", tenant_id=str(tenant_id), images=len(held), candidates=len(kept))

    def _density_of(self, own: DensityCheckpoint | None, attributor: "Attributor") -> "OpenSetDensity":
        """The tenant's own density, which knows what it enrolled; everybody's when it has none that can be had."""
        if own is None:
            return attributor.density
        try:
            return read_density(own, self.store)
        except (Unavailable, ValueError) as error:
            log.warning("density_not_refreshed", error=str(error))
            return attributor.density

    def _groups(
        self, held: Sequence[HeldImage], own: DensityCheckpoint | None, attributor: "Attributor"
    ) -> list[Group]:
        if not held:
            return []
        embeddings = np.array([np.asarray(one.embedding, dtype=np.float32) for one in held])
        random = np.random.default_rng(len(held))
        density = self._density_of(own, attributor)
        return discover(embeddings, density, rules=self.rules, random=random)

    def _draw_thumbnails(self, tenant_id: UUID, medoids: Sequence[HeldImage]) -> None:
        for one in medoids:
            try:
                self._draw_thumbnail(tenant_id, one.sha256)
            except (ImageRefused, Unavailable) as error:
                log.warning("thumbnail_not_drawn", image_id=str(one.image_id), error=str(error))

    def _draw_thumbnail(self, tenant_id: UUID, sha256: str) -> None:
        """Draw what was not drawn when the image was attributed."""
        try:
            self.store.size(thumbnail_key(tenant_id, sha256))
        except ObjectMissing:
            thumbnail = draw_thumbnail(decode(self.store.get(image_key(tenant_id, sha256))))
            store_thumbnail(self.store, thumbnail, tenant_id=tenant_id, sha256=sha256)


def sources_of(members: Sequence[HeldImage], *, confirmed: Collection[UUID]) -> dict[str, int]:
    """How many different batches, days and formats the images come from, and how many people call unknown."""
    return {
        "confirmed": sum(one.image_id in confirmed for one in members),
        "batches": len({one.batch_id for one in members}),
        "days": len({day_of(one.seen_at) for one in members}),
        "formats": len({one.format for one in members}),
    }


def _as_record(group: Group, held: Sequence[HeldImage], *, confirmed: Collection[UUID]) -> FoundGroup:
    members = [held[row] for row in group.members]
    sources = sources_of(members, confirmed=confirmed)
    # A person's word on half of them counts as much as a second source.
    diverse = sources["batches"] > 1 or 2 * sources["confirmed"] >= len(members)
    return FoundGroup(
        members=tuple(one.id for one in members),
        medoids=tuple(str(held[row].image_id) for row in group.medoids),
        nearest_generator=group.nearest,
        novelty=group.novelty,
        stability=group.stability,
        confidence=group.stability * group.cohesion * (1.0 if diverse else ONE_SOURCE_CONFIDENCE),
        sources=sources,
    )
