"""Draws the maps of tenants' embeddings: those that were asked for at once, the others once a day.

One run at a time (advisory lock), each tenant in transactions of its own. A map shows at most a few thousand images, so
that a run takes seconds however many there are.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from sqlalchemy import Engine

from leaktrace.logs import get_logger
from leaktrace.records.database import transaction
from leaktrace.records.locks import MAP_LOCK
from leaktrace.records.maps import Places, sample_embeddings, save_map, tenants_to_draw
from leaktrace.science.layout import LayoutRules, lay_out
from worker.periodic import run_alone

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

IMAGES_ON_MAP = 2_000
FEWEST_IMAGES = 3
LONGEST = timedelta(days=1)
DIGITS = 4

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class MapDrawer:
    """One run is one call of `run`."""

    engine: Engine
    rules: LayoutRules

    def run(self, attributor: "Attributor") -> bool:
        """Draw what is due, unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database is away; the next run starts afresh.
        """
        return run_alone(self.engine, MAP_LOCK, partial(self._draw_due, attributor))

    def _draw_due(self, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            due = tenants_to_draw(session, attributor.version, longest=LONGEST)
        for tenant_id in due:
            self._draw(tenant_id, attributor)

    def _draw(self, tenant_id: UUID, attributor: "Attributor") -> None:
        version = attributor.version
        with transaction(self.engine) as session:
            count, sample = sample_embeddings(session, tenant_id, model_version=version, limit=IMAGES_ON_MAP)
        places = self._places([image_id for image_id, _ in sample], [one for _, one in sample], attributor)
        with transaction(self.engine) as session:
            save_map(session, tenant_id, model_version=version, images=count, places=places)
        log.info("map_drawn", tenant_id=str(tenant_id), images=count, places=len(places))

    def _places(self, image_ids: list[UUID], embeddings: list[object], attributor: "Attributor") -> Places:
        if len(image_ids) < FEWEST_IMAGES:
            return []
        points = attributor.density.scale(np.array([np.asarray(one, dtype=np.float32) for one in embeddings]))
        laid = lay_out(points, rules=self.rules, random=np.random.default_rng(0))
        rounded = np.round(laid, DIGITS).tolist()
        return [(image_id, x, y) for image_id, (x, y) in zip(image_ids, rounded, strict=True)]
