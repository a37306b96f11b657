"""The one executor: batches across callers, order, culprits, and a model that broke."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from types import SimpleNamespace
from typing import Any

import pytest

from tests.submissions import wait_until
from worker.executor import Attributed, AttributionExecutor, AttributionFailed, ModelBroken

SECONDS = 10


class ScriptedAttributor:
    """Answers each image with its name; waits where a test lets it, raises for the names in `failing`."""

    def __init__(self) -> None:
        self.density_version = "d1"
        self.batches: list[list[str]] = []
        self.failing: set[str] = set()
        self.fits = 1000
        self.broken = False
        self.may_go = threading.Event()
        self.may_go.set()
        self.entered = threading.Event()

    def attribute(self, images: Sequence[Any]) -> list[str]:
        self.batches.append([image.sha256 for image in images])
        self.entered.set()
        assert self.may_go.wait(SECONDS)
        if len(images) > self.fits:
            raise MemoryError
        if self.failing & {image.sha256 for image in images}:
            raise RuntimeError("not this one")
        return [f"answer to {image.sha256}" for image in images]

    def self_test(self) -> None:
        if self.broken:
            raise RuntimeError("device lost")


@pytest.fixture
def attributor() -> ScriptedAttributor:
    return ScriptedAttributor()


MakeExecutor = Callable[..., AttributionExecutor]


@pytest.fixture
def make_executor(attributor: ScriptedAttributor) -> Iterator[MakeExecutor]:
    made: list[AttributionExecutor] = []

    def make(*, max_batch_images: int = 8, max_attempts: int = 2) -> AttributionExecutor:
        made.append(
            AttributionExecutor(
                attributor,  # type: ignore[arg-type]
                max_batch_images=max_batch_images,
                max_attempts=max_attempts,
            )
        )
        return made[-1]

    yield make
    attributor.may_go.set()
    for executor in made:
        executor.close()


def image(name: str) -> Any:
    return SimpleNamespace(sha256=name)


def submit_all(executor: AttributionExecutor, names: Sequence[str]) -> list[Future[Attributed]]:
    return [executor.submit(image(name)) for name in names]


def hold_first_batch(executor: AttributionExecutor, attributor: ScriptedAttributor) -> Future[Attributed]:
    """Keep the executor busy, so that what is submitted next is waiting when it is free again."""
    attributor.may_go.clear()
    held = executor.submit(image("held"))
    assert attributor.entered.wait(SECONDS)
    return held


def test_answers_reach_their_images(make_executor: MakeExecutor) -> None:
    futures = submit_all(make_executor(max_batch_images=3), [str(number) for number in range(10)])
    answers = [future.result(SECONDS).attribution for future in futures]
    assert answers == [f"answer to {number}" for number in range(10)]


def test_waiting_images_share_batches(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    executor = make_executor(max_batch_images=4)
    held = hold_first_batch(executor, attributor)
    futures = submit_all(executor, "abcdef")
    attributor.may_go.set()
    wait([held, *futures], SECONDS)
    assert attributor.batches == [["held"], list("abcd"), list("ef")]


def test_batch_halves_on_memory(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    executor = make_executor(max_batch_images=8)
    attributor.fits = 2
    held = hold_first_batch(executor, attributor)
    futures = submit_all(executor, "abcdefgh")
    attributor.may_go.set()
    wait([held, *futures], SECONDS)
    assert (executor.batch_images, [future.result().attribution for future in futures]) == (
        2,
        [f"answer to {name}" for name in "abcdefgh"],
    )


def test_culprit_fails_neighbours_succeed(
    make_executor: MakeExecutor, attributor: ScriptedAttributor
) -> None:
    attributor.failing = {"c"}
    futures = dict(zip("abcd", submit_all(make_executor(), "abcd"), strict=True))
    with pytest.raises(AttributionFailed, match="failed on this image 2 times: RuntimeError"):
        futures.pop("c").result(SECONDS)
    assert [future.result(SECONDS).attribution for future in futures.values()] == [
        f"answer to {name}" for name in "abd"
    ]


def test_broken_model_blames_nobody(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    attributor.failing, attributor.broken = {"a"}, True
    executor = make_executor()
    held = hold_first_batch(executor, attributor)
    futures = submit_all(executor, "abc")
    attributor.may_go.set()
    held.result(SECONDS)
    assert [type(future.exception(SECONDS)) for future in futures] == [ModelBroken] * 3


def test_broken_model_stays_broken(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    attributor.failing, attributor.broken = {"a"}, True
    executor = make_executor()
    executor.submit(image("a")).exception(SECONDS)
    attributor.broken = False
    assert isinstance(executor.submit(image("b")).exception(SECONDS), ModelBroken)


def test_cancelled_image_is_skipped(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    executor = make_executor()
    held = hold_first_batch(executor, attributor)
    dropped, kept = submit_all(executor, "ab")
    dropped.cancel()
    attributor.may_go.set()
    wait([held, kept], SECONDS)
    assert attributor.batches == [["held"], ["b"]]


def test_job_runs_between_batches(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    executor = make_executor()
    held = hold_first_batch(executor, attributor)
    changed = executor.between_batches(lambda: setattr(attributor, "density_version", "d2"))
    after = executor.submit(image("a"))
    attributor.may_go.set()
    changed.result(SECONDS)
    assert (held.result(SECONDS).density_version, after.result(SECONDS).density_version) == ("d1", "d2")


def test_failing_job_reports_back(make_executor: MakeExecutor) -> None:
    def fail() -> None:
        raise ValueError("another model's density")

    with pytest.raises(ValueError, match="another model's density"):
        make_executor().between_batches(fail).result(SECONDS)


def test_closing_cancels_waiting_images(make_executor: MakeExecutor, attributor: ScriptedAttributor) -> None:
    executor = make_executor()
    hold_first_batch(executor, attributor)
    waiting = executor.submit(image("a"))
    closer = threading.Thread(target=executor.close)
    closer.start()
    wait_until(lambda: executor._closed)
    attributor.may_go.set()
    closer.join(SECONDS)
    with pytest.raises(CancelledError):
        waiting.result(SECONDS)


def test_closed_executor_takes_nothing(make_executor: MakeExecutor) -> None:
    executor = make_executor()
    executor.close()
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(image("a"))
