"""What the quarantine's intake decides for each image."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from leaktrace.records.quarantine import Places, QuarantineRules, Unnamed
from worker.quarantine import decide

RULES = QuarantineRules(per_tenant=6, per_batch=3, per_day=5)


def empty() -> Places:
    return Places(held=0, by_batch=Counter(), by_day=Counter())


def unseen(*, batch: UUID | None = None, perceptual_hash: int | None = None) -> Unnamed:
    tenant, image, attribution = uuid4(), uuid4(), uuid4()
    return Unnamed(tenant, image, attribution, batch, "m", perceptual_hash, datetime.now(UTC))


def states(images: list[Unnamed], places: Places) -> Counter[str]:
    return Counter(decide(one, places, rules=RULES)[1] for one in images)


def test_near_copy_names_its_original() -> None:
    places = empty()
    first, _, _ = decide(unseen(perceptual_hash=0), places, rules=RULES)
    assert decide(unseen(perceptual_hash=0b111), places, rules=RULES)[1:] == ("near", first)


def test_far_picture_is_held() -> None:
    places = empty()
    decide(unseen(perceptual_hash=0), places, rules=RULES)
    assert decide(unseen(perceptual_hash=-1), places, rules=RULES)[1] == "held"


def test_batch_has_its_cap() -> None:
    batch = uuid4()
    assert states([unseen(batch=batch) for _ in range(10)], empty()) == {"held": 3, "over_cap": 7}


def test_day_has_its_cap() -> None:
    assert states([unseen(batch=uuid4()) for _ in range(10)], empty()) == {"held": 5, "over_cap": 5}


def test_tenant_has_its_cap() -> None:
    places = Places(held=5, by_batch=Counter(), by_day=Counter())
    assert states([unseen(batch=uuid4()) for _ in range(4)], places) == {"held": 1, "over_cap": 3}


def test_copies_use_no_place() -> None:
    copies = [unseen(batch=uuid4(), perceptual_hash=7) for _ in range(100)]
    assert states(copies, empty()) == {"held": 1, "near": 99}


def test_open_images_leave_places() -> None:
    """What the model left open fills half of a tenant's places, and unseen images the others."""
    places = empty()
    open_ones = [replace(unseen(batch=uuid4()), left_open=True) for _ in range(5)]
    assert states(open_ones, places) == {"held": 3, "over_cap": 2}
    assert states([unseen(batch=uuid4()) for _ in range(3)], places) == {"held": 2, "over_cap": 1}
