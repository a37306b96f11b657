"""Isolation of what cannot be done, and fitting into memory by halving."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.bisecting import FittingBatches, isolate


class Poisoned(Exception):
    pass


class Work:
    """Doubles numbers; raises for any batch with a poisoned one, and notes every batch it was given."""

    def __init__(self, poison: set[int] | None = None, *, fits: int = 1000) -> None:
        self.poison = poison or set()
        self.fits = fits
        self.batches: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if len(numbers) > self.fits:
            raise MemoryError
        if self.poison & set(numbers):
            raise Poisoned
        return [2 * number for number in numbers]


def fitting(size: int) -> FittingBatches:
    return FittingBatches(size, is_out_of_memory=lambda error: isinstance(error, MemoryError))


@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.integers(1, 3))
def test_every_poison_is_isolated_exactly(count: int, poison: set[int], max_attempts: int) -> None:
    results = isolate(Work(poison), range(count), max_attempts=max_attempts)
    expected = [Poisoned if number in poison else 2 * number for number in range(count)]
    assert [type(result) if isinstance(result, Exception) else result for result in results] == expected


@given(st.integers(1, 3), st.integers(1, 16))
def test_culprit_is_tried_that_often(max_attempts: int, count: int) -> None:
    work = Work({0})
    isolate(work, range(count), max_attempts=max_attempts)
    assert work.batches.count([0]) == max_attempts


def test_one_culprit_costs_few_calls() -> None:
    work = Work({17})
    isolate(work, range(64), max_attempts=1)
    assert len(work.batches) == 1 + 2 * 6


def test_clean_batch_runs_once() -> None:
    work = Work()
    isolate(work, range(64), max_attempts=3)
    assert work.batches == [list(range(64))]


def test_passing_failure_is_forgiven() -> None:
    calls = iter([Poisoned(), None])

    def once_broken(numbers: Sequence[int]) -> list[int]:
        if (error := next(calls)) is not None:
            raise error
        return list(numbers)

    assert isolate(once_broken, [7], max_attempts=2) == [7]


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 20))
def test_halving_loses_no_result(count: int, size: int, fits: int) -> None:
    assert fitting(size).run(Work(fits=fits), range(count)) == [2 * number for number in range(count)]


def test_size_is_halved_until_fits() -> None:
    work, batches = Work(fits=3), fitting(16)
    batches.run(work, range(16))
    assert [len(batch) for batch in work.batches] == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_smaller_size_is_kept() -> None:
    work, batches = Work(fits=3), fitting(16)
    batches.run(work, range(16))
    work.batches.clear()
    batches.run(work, range(6))
    assert [len(batch) for batch in work.batches] == [2, 2, 2]


def test_memory_is_freed_before_retry() -> None:
    events: list[str] = []
    work = Work(fits=1)
    batches = FittingBatches(
        2,
        is_out_of_memory=lambda error: isinstance(error, MemoryError),
        free_memory=lambda: events.append("freed"),
    )
    batches.run(work, range(2))
    assert (events, work.batches) == (["freed"], [[0, 1], [0], [1]])


def test_single_misfit_raises() -> None:
    with pytest.raises(MemoryError):
        fitting(4).run(Work(fits=0), range(3))


def test_missing_results_name_both_numbers() -> None:
    with pytest.raises(ValueError, match="3 images were given and 2 results came back"):
        fitting(4).run(lambda numbers: list(numbers)[1:], range(3))
