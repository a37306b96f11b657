"""Which confirmed images may join the known ones: near copies collapse, and nobody gives more than a share.

The same images are chosen whenever the same labels stand, in whatever order they are read. Knows nothing of densities.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from leaktrace.records.confirmations import ConfirmedImage
from leaktrace.records.quarantine import day_of
from leaktrace.science.fingerprint import NEAR_BITS, hash_distances


@dataclass(frozen=True)
class ConfirmedRules:
    """The bounds: a tenant's images a day, a class's share of its trained images, the age of a label."""

    per_tenant_and_day: int = 2_000
    share_of_class: float = 1.0
    age: timedelta = timedelta(hours=1)


@dataclass
class Chosen:
    """What may join, and why the others may not: how many are near copies, too many, or left out after a refusal."""

    images: list[ConfirmedImage] = field(default_factory=list)
    near: int = 0
    over_cap: int = 0
    left_out: int = 0

    def newer_than(self, label_id: UUID | None) -> int:
        """How many were confirmed after that label; all of them without one."""
        return sum(label_id is None or one.label_id > label_id for one in self.images)

    def first(self, most: int) -> "Chosen":
        """With no more images than that, those whose labels are the oldest."""
        return replace(self, images=self.images[:most])

    def manifest(self) -> bytes:
        """The images, generators and labels, one a line as JSON."""
        lines = [
            json.dumps({"sha256": one.sha256, "generator": one.generator, "label": str(one.label_id)})
            for one in self.images
        ]
        return "\n".join(lines).encode()

    def per_class(self) -> dict[str, int]:
        """How many of each generator."""
        return dict(sorted(Counter(one.generator for one in self.images).items()))


def choose(
    found: Sequence[ConfirmedImage],
    *,
    trained: Mapping[str, int],
    rules: ConfirmedRules,
    left_out: Collection[UUID] = (),
) -> Chosen:
    """Choose, the oldest label first; `trained` says how many known images each class was trained with.

    Images of the labels `left_out` do not join, nor do their near copies.
    """
    chosen = Chosen()
    contents: set[str] = set()
    hashes: list[int] = []
    by_day: Counter[tuple[UUID, str]] = Counter()
    by_class: defaultdict[str, int] = defaultdict(int)
    for one in found:
        day = (one.tenant_id, day_of(one.said_at))
        if one.sha256 in contents or _is_near(one, hashes):
            chosen.near += 1
            continue
        if one.label_id in left_out:
            chosen.left_out += 1
        elif (
            by_day[day] >= rules.per_tenant_and_day
            or by_class[one.generator] >= rules.share_of_class * trained[one.generator]
        ):
            chosen.over_cap += 1
            continue
        else:
            chosen.images.append(one)
            by_day[day] += 1
            by_class[one.generator] += 1
        contents.add(one.sha256)
        if one.perceptual_hash is not None:
            hashes.append(one.perceptual_hash)
    return chosen


def _is_near(one: ConfirmedImage, hashes: Sequence[int]) -> bool:
    if one.perceptual_hash is None or not hashes:
        return False
    return bool(hash_distances(hashes, one.perceptual_hash).min() <= NEAR_BITS)
