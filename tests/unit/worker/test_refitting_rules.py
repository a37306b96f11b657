"""When the density for everybody is fitted again, on which images, and when a shadow is decided."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from leaktrace.records.challengers import ShadowScore
from leaktrace.records.confirmations import ConfirmedImage
from leaktrace.science.gates import GateRules
from worker.confirmed import ConfirmedRules, choose
from worker.shadow import ShadowRules, shadow_flips
from worker.triggers import Situation, decide_refit, most_at_once

MONTH = timedelta(days=30)
YOUNG = timedelta(days=1)
DAY = datetime(2026, 1, 5, tzinfo=UTC)


def confirmed(
    number: int, *, generator: str = "alpha", tenant: int = 1, bits: int | None = None
) -> ConfirmedImage:
    return ConfirmedImage(
        UUID(int=number), UUID(int=tenant), UUID(int=number), f"{number:064x}", bits, generator, DAY
    )


@pytest.mark.parametrize(
    ("situation", "due", "reason"),
    [
        (Situation(41, 4_000, YOUNG), False, "41 of 200 newly confirmed images"),
        (Situation(200, 4_000, YOUNG), True, "200 of 200 newly confirmed images"),
        (Situation(5, 100, YOUNG), True, "5 of 5 newly confirmed images"),
        (Situation(1, 4_000, MONTH), True, "the density is 30 days old; 1 of 200 newly confirmed images"),
        (Situation(0, 4_000, MONTH), False, "the density is 30 days old; 0 of 200 newly confirmed images"),
        (Situation(0, 4_000, YOUNG, asked=True), False, "asked for; 0 of 200 newly confirmed images"),
        (
            Situation(7, 4_000, YOUNG, golden_drifts=True),
            True,
            "golden p-values were not uniform twice in a row; 7 of 200 newly confirmed images",
        ),
        (Situation(300, 4_000, YOUNG, in_shadow="d-2"), False, "d-2 is in shadow; 300 of 200 newly confirmed images"),
    ],
)  # fmt: skip
def test_triggers_are_as_written(situation: Situation, due: bool, reason: str) -> None:
    decision = decide_refit(situation, max_age=MONTH)
    assert (decision.due, decision.reason) == (due, reason)


def test_one_refit_takes_the_oldest_labels() -> None:
    chosen = choose([confirmed(n) for n in range(1, 9)], trained={"alpha": 100}, rules=ConfirmedRules())
    assert [one.label_id.int for one in chosen.first(3).images] == [1, 2, 3]
    assert (most_at_once(849), most_at_once(3)) == (85, 1)


def test_near_copies_collapse() -> None:
    found = [confirmed(1, bits=0), confirmed(2, bits=0b111), confirmed(3, bits=(1 << 40) - 1)]
    chosen = choose(found, trained={"alpha": 100}, rules=ConfirmedRules())
    assert ([one.label_id.int for one in chosen.images], chosen.near) == ([1, 3], 1)


def test_class_is_never_mostly_confirmed() -> None:
    found = [confirmed(number) for number in range(1, 10)]
    chosen = choose(found, trained={"alpha": 4}, rules=ConfirmedRules())
    assert (len(chosen.images), chosen.over_cap) == (4, 5)


def test_tenant_has_its_share_of_a_day() -> None:
    found = [confirmed(number, tenant=1 + number // 6) for number in range(1, 10)]
    chosen = choose(found, trained={"alpha": 100}, rules=ConfirmedRules(per_tenant_and_day=3))
    assert (len(chosen.images), chosen.over_cap) == (6, 3)


def test_left_out_image_waits_for_new_label() -> None:
    rules, trained = ConfirmedRules(), {"alpha": 100}
    bad, near = confirmed(1, bits=0), confirmed(2, bits=0b111)
    others = [confirmed(number) for number in range(3, 6)]
    chosen = choose([bad, near, *others], trained=trained, rules=rules, left_out={bad.label_id})
    assert (chosen.images, chosen.left_out, chosen.near) == (others, 1, 1)
    anew = replace(bad, label_id=UUID(int=9))
    chosen = choose([*others, anew], trained=trained, rules=rules, left_out={bad.label_id})
    assert (chosen.images, chosen.left_out) == ([*others, anew], 0)


@pytest.mark.parametrize(
    ("score", "hours", "passed"),
    [
        (ShadowScore(600, 499, 2), 1, None),
        (ShadowScore(600, 500, 2), 1, True),
        (ShadowScore(50, 40, 3), 1, False),
        (ShadowScore(0, 0, 0), 72, True),
        (ShadowScore(60, 50, 1), 72, False),
    ],
)
def test_shadow_is_decided_on_enough(score: ShadowScore, hours: int, passed: bool | None) -> None:
    gate = shadow_flips(score, timedelta(hours=hours), shadow=ShadowRules(), rules=GateRules())
    assert (gate.passed if gate else None) == passed
