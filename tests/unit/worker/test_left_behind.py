"""A tenant that cannot be served is tried more and more rarely, and at once when something about it changed."""

from uuid import uuid4

import pytest

from worker.left_behind import LONGEST_SECONDS, LeftBehind

TENANT = uuid4()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_failed_tenant_waits_its_time(clock: Clock) -> None:
    left = LeftBehind(clock=clock)
    clock.now += left.fail(TENANT, "as it was") - 1
    assert not left.is_due(TENANT, "as it was")
    clock.now += 1
    assert left.is_due(TENANT, "as it was")


def test_waits_grow_to_an_hour(clock: Clock) -> None:
    left = LeftBehind(clock=clock)
    waits = [left.fail(TENANT, "as it was") for _ in range(20)]
    assert waits[0] <= 10
    assert LONGEST_SECONDS / 2 <= waits[-1] <= LONGEST_SECONDS


def test_changed_tenant_is_tried_at_once(clock: Clock) -> None:
    left = LeftBehind(clock=clock)
    for _ in range(20):
        left.fail(TENANT, "as it was")
    assert left.is_due(TENANT, "withdrawn")
    assert left.fail(TENANT, "withdrawn") <= 10


def test_other_tenants_do_not_wait(clock: Clock) -> None:
    left = LeftBehind(clock=clock)
    left.fail(TENANT, "as it was")
    assert left.is_due(uuid4(), "as it was")
