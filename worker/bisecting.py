"""Finding out which things a batch operation cannot do, by halving, and fitting batches into memory, by halving too.

Both work in memory and on anything: they know nothing of images, models or queues. What an operation raises for one
thing alone, as often as it is tried, becomes that thing's result.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")
BatchWork = Callable[[Sequence[Thing]], Sequence[Result]]


def isolate(
    work: BatchWork[Thing, Result], things: Sequence[Thing], *, max_attempts: int
) -> list[Result | Exception]:
    """One result a thing, in order; the exception for each that still fails alone after `max_attempts` tries.

    The rest get their results however many culprits there are: k culprits among n cost about k log2(n) extra calls.
    """
    if not things:
        return []
    attempts = max_attempts if len(things) == 1 else 1
    for attempt in range(1, attempts + 1):
        try:
            return list(work(things))
        except Exception as error:
            if len(things) == 1 and attempt == attempts:
                return [error]
    middle = len(things) // 2
    return [
        *isolate(work, things[:middle], max_attempts=max_attempts),
        *isolate(work, things[middle:], max_attempts=max_attempts),
    ]


class FittingBatches:
    """Runs an operation in batches that fit into memory: a batch that does not is halved, and the size is kept."""

    def __init__(
        self,
        size: int,
        *,
        is_out_of_memory: Callable[[Exception], bool],
        free_memory: Callable[[], None] = lambda: None,
    ) -> None:
        self.size = size
        self._is_out_of_memory = is_out_of_memory
        self._free_memory = free_memory

    def run(self, work: BatchWork[Thing, Result], things: Sequence[Thing]) -> list[Result]:
        """All results in order.

        Raises:
            ValueError: the operation gave another number of results than it was given things.
            Exception: what the operation raised, also when one thing alone does not fit.
        """
        results: list[Result] = []
        while len(results) < len(things):
            batch = things[len(results) : len(results) + self.size]
            try:
                results += self._checked(work(batch), len(batch))
            except Exception as error:
                if not self._is_out_of_memory(error) or len(batch) == 1:
                    raise
                self.size = len(batch) // 2
            else:
                continue
            # After the handler, since the exception's frames hold the tensors that did not fit.
            self._free_memory()
        return results

    def _checked(self, results: Sequence[Result], expected: int) -> Sequence[Result]:
        if len(results) != expected:
            raise ValueError(f"{expected} images were given and {len(results)} results came back")
        return results
