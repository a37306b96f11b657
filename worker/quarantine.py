"""Takes images without a name into the quarantine and decides for each: held, a near copy, or over a cap.
People's labels bring more in, and take out what they name.

Runs beside attribution and not within it, so that no shard waits for it; what it has not taken in yet it finds at its
next run. Knows nothing of groups.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.records.database import transaction
from leaktrace.records.quarantine import (
    UNNAMED,
    Places,
    QuarantineRules,
    Unnamed,
    find_new_unnamed,
    full_place,
    read_places,
    take_in,
    today,
)
from leaktrace.records.quarantine_words import find_called_unknown, heed_labels
from leaktrace.science.fingerprint import NEAR_BITS, hash_distances
from leaktrace.settings import Settings

IMAGES_A_STEP = 2_000

log = get_logger(__name__)


def quarantine_rules(settings: Settings) -> QuarantineRules:
    """The bounds that the operator has set."""
    days = settings.keep_quarantine_days
    return QuarantineRules(
        per_tenant=settings.quarantine_per_tenant,
        per_batch=settings.quarantine_per_batch,
        per_day=settings.quarantine_per_day,
        age_delay=timedelta(seconds=settings.quarantine_age_seconds),
        lifetime=None if days is None else timedelta(days=days),
    )


def fill_quarantine(engine: Engine, model_version: str, *, rules: QuarantineRules) -> int:
    """Take in all that is new, step by step, each in a transaction of its own; returns how many were new.

    What people call unknown comes first, then what the model calls unseen, then what it leaves open; of each the
    oldest. What people name is left out afterwards.
    """
    finds: list[Callable[..., list[Unnamed]]] = [
        find_called_unknown,
        *(partial(find_new_unnamed, verdict=verdict) for verdict in UNNAMED),
    ]
    total = sum(_fill(engine, model_version, find, rules=rules) for find in finds)
    with transaction(engine) as session:
        left, returned = heed_labels(session, model_version)
    if left or returned:
        log.info("quarantine_heeded_labels", model_version=model_version, left=left, returned=returned)
    return total


def _fill(
    engine: Engine, model_version: str, find: Callable[..., list[Unnamed]], *, rules: QuarantineRules
) -> int:
    total = 0
    while True:
        with transaction(engine) as session:
            found = find(session, model_version, limit=IMAGES_A_STEP, lifetime=rules.lifetime)
            counts = _take_in(session, found, rules=rules)
        total += len(found)
        if found:
            log.info("quarantine_filled", model_version=model_version, **counts)
        if len(found) < IMAGES_A_STEP:
            return total


def _take_in(session: Session, found: list[Unnamed], *, rules: QuarantineRules) -> dict[str, int]:
    counts: Counter[str] = Counter()
    ordered = sorted(found, key=attrgetter("tenant_id"))  # stable: the oldest stay first
    for tenant_id, group in groupby(ordered, key=attrgetter("tenant_id")):
        images = list(group)
        places = read_places(session, tenant_id, model_version=images[0].model_version)
        decided = [decide(one, places, rules=rules) for one in images]
        # Held ones first: a near copy points at one of them.
        order = sorted(range(len(images)), key=lambda index: decided[index][1] != "held")
        take_in(session, [images[i] for i in order], states=[decided[i] for i in order], rules=rules)
        counts.update(state for _, state, _ in decided)
    return dict(counts)


def decide(one: Unnamed, places: Places, *, rules: QuarantineRules) -> tuple[UUID, str, UUID | None]:
    """A new entry's (id, state, copy_of); `places` is brought up to date."""
    entry_id = uuid4()
    original = _original(one, places)
    if original is not None:
        return entry_id, "near", original
    if full_place(places, one, rules=rules):
        return entry_id, "over_cap", None
    places.held += 1
    places.by_batch[one.batch_id] += 1
    places.by_day[today()] += 1
    if one.perceptual_hash is not None:
        places.ids.append(entry_id)
        places.hashes.append(one.perceptual_hash)
    return entry_id, "held", None


def _original(one: Unnamed, places: Places) -> UUID | None:
    if one.perceptual_hash is None or not places.hashes:
        return None
    distances = hash_distances(places.hashes, one.perceptual_hash)
    nearest = int(distances.argmin())
    return places.ids[nearest] if distances[nearest] <= NEAR_BITS else None
