"""What the page of generators says of the map in words: its groups, for people who cannot see or point at a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.maps import Place

LISTED = 12


@dataclass(frozen=True)
class MapGroup:
    """The images of one generator, one candidate or one verdict: how many, which other group lies nearest, some ids."""

    key: str
    title: str
    count: int
    nearest: str | None
    image_ids: list[UUID]


def groups_of(places: Sequence[Place]) -> list[MapGroup]:
    """The groups on the map, the largest first."""
    members: dict[str, list[Place]] = {}
    for place in places:
        members.setdefault(key_of(place), []).append(place)
    middles = {
        key: (sum(one.x for one in group) / len(group), sum(one.y for one in group) / len(group))
        for key, group in members.items()
    }
    ordered = sorted(members, key=lambda key: (-len(members[key]), key))
    return [
        MapGroup(
            key=key,
            title=title_of(key, ordered),
            count=len(members[key]),
            nearest=_nearest(key, middles, ordered),
            image_ids=[one.image_id for one in members[key][:LISTED]],
        )
        for key in ordered
    ]


def key_of(place: Place) -> str:
    """What tells a place's group; the page's script makes the same."""
    if place.candidate_id is not None:
        return f"candidate:{place.candidate_id}"
    return f"generator:{place.generator}" if place.generator is not None else place.verdict


def title_of(key: str, ordered: Sequence[str]) -> str:
    """A group in words; candidates are numbered by their size."""
    if key.startswith("candidate:"):
        number = [each for each in ordered if each.startswith("candidate:")].index(key) + 1
        return f"candidate {number}"
    return key.removeprefix("generator:")


def _nearest(key: str, middles: dict[str, tuple[float, float]], ordered: Sequence[str]) -> str | None:
    x, y = middles[key]
    others = [(x - a) ** 2 + (y - b) ** 2 for each, (a, b) in middles.items() if each != key]
    names = [each for each in middles if each != key]
    return title_of(names[others.index(min(others))], ordered) if others else None
