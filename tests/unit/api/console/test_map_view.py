"""The map in words: groups by candidate, generator or verdict, and which lies nearest."""

from uuid import UUID, uuid4

from api.console.map_view import groups_of
from api.maps import Place


def place(x: float, y: float, *, verdict: str = "generator", generator: str | None = None,
          candidate_id: UUID | None = None) -> Place:  # fmt: skip
    facts = {"verdict": verdict, "generator": generator, "candidate_id": candidate_id}
    return Place.model_validate({"image_id": uuid4(), "x": x, "y": y, **facts})


def test_groups_are_named_and_ordered() -> None:
    candidate = uuid4()
    places = [
        place(0.1, 0.1, generator="sd-2.1"),
        place(0.2, 0.1, generator="sd-2.1"),
        place(0.9, 0.9, verdict="unseen", candidate_id=candidate),
        place(0.9, 0.8, verdict="unseen", candidate_id=candidate),
        place(0.8, 0.8, verdict="unseen", candidate_id=candidate),
        place(0.7, 0.7, verdict="unseen"),
    ]
    groups = groups_of(places)
    assert [(each.title, each.count, each.nearest) for each in groups] == [
        ("candidate 1", 3, "unseen"),
        ("sd-2.1", 2, "unseen"),
        ("unseen", 1, "candidate 1"),
    ]


def test_lonely_group_has_no_neighbour() -> None:
    (group,) = groups_of([place(0.5, 0.5, verdict="inconclusive")])
    assert (group.title, group.nearest) == ("inconclusive", None)
