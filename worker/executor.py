"""The one thread of a process that talks to the model: it gathers prepared images of all shards into batches.

Whoever prepares an image gets a future; who waits for whom is of no concern here. An image that the model cannot do
gets `AttributionFailed`, its neighbours their results. When a failure leaves the model itself broken, which one fault
on a GPU can do, everything fails with `ModelBroken`, so that no image is blamed for it. Knows nothing of shards.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from leaktrace.errors import LeaktraceError
from leaktrace.logs import get_logger
from worker.bisecting import FittingBatches, isolate

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attribution, Attributor
    from leaktrace.science.judging import Judge
    from leaktrace.science.preprocessing import PreparedImage

# How long a batch that is not full waits for more: short against a batch, long against the gap between two decodes.
LINGER_SECONDS = 0.02
CLOSE_SECONDS = 10.0

Answer = TypeVar("Answer")
log = get_logger(__name__)


class AttributionFailed(LeaktraceError):
    """The model raised for this image alone, each time that it was tried."""

    code = "attribution_failed"


class ModelBroken(LeaktraceError):
    """The model fails its own self-test after a failure; this process can attribute nothing any more: restart it."""

    code = "model_broken"


@dataclass(frozen=True)
class Attributed:
    """What the model says, the density that judged it, and the image's share of its batch's time."""

    attribution: "Attribution"
    density_version: str
    seconds: float


@dataclass(frozen=True)
class _Waiting:
    image: "PreparedImage"
    judge: "Judge | None"
    future: "Future[Attributed]"


class AttributionExecutor:
    """Batches images across shards; `batch_images` is the size that fits, at most `max_batch_images`."""

    def __init__(
        self,
        attributor: "Attributor",
        *,
        max_batch_images: int,
        max_attempts: int,
        is_out_of_memory: Callable[[Exception], bool] = lambda error: isinstance(error, MemoryError),
        free_memory: Callable[[], None] = lambda: None,
    ) -> None:
        self._attributor = attributor
        self._max_attempts = max_attempts
        self._batches = FittingBatches(
            max_batch_images, is_out_of_memory=is_out_of_memory, free_memory=free_memory
        )
        self._waiting: deque[_Waiting] = deque()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.broken: ModelBroken | None = None
        self._thread = threading.Thread(target=self._work, name="attribution-executor", daemon=True)
        self._thread.start()

    @property
    def batch_images(self) -> int:
        """The largest batch that is tried now."""
        return self._batches.size

    def submit(self, image: "PreparedImage", *, judge: "Judge | None" = None) -> "Future[Attributed]":
        """Attribute the image in some batch, by the density in use or by a judge of its own.

        The future may be cancelled until its batch begins.
        """
        future: Future[Attributed] = Future()
        with self._changed:
            self._refuse_when_closed()
            self._waiting.append(_Waiting(image, judge, future))
            self._changed.notify()
        return future

    def between_batches(self, job: Callable[[], Answer]) -> "Future[Answer]":
        """Run the job on the executor's thread, while no batch runs: the only way to change the model."""
        future: Future[Answer] = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)

        with self._changed:
            self._refuse_when_closed()
            self._jobs.append(run)
            self._changed.notify()
        return future

    def close(self) -> None:
        """End the thread after the batch that runs, if that ends; what still waits is cancelled."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)  # a device that hangs must not keep the process
        for waiting in self._waiting:
            waiting.future.cancel()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the executor is closed")

    def _work(self) -> None:
        while self._await_work():
            while self._jobs:
                self._jobs.popleft()()
            batch = self._take()
            if batch:
                self._attribute(batch)

    def _await_work(self) -> bool:
        """Wait until there is something to do, and a little longer for a full batch; False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._jobs or self._waiting)
            self._changed.wait_for(
                lambda: self._closed or self._jobs or len(self._waiting) >= self.batch_images,
                timeout=LINGER_SECONDS,
            )
            return not self._closed

    def _take(self) -> list[_Waiting]:
        with self._changed:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.batch_images))]
        return [waiting for waiting in taken if waiting.future.set_running_or_notify_cancel()]

    def _attribute(self, batch: Sequence[_Waiting]) -> None:
        if self.broken:
            self._fail_all(batch, self.broken)
            return
        began = time.perf_counter()
        results = isolate(
            lambda part: self._batches.run(self._judge_all, part),
            batch,
            max_attempts=self._max_attempts,
        )
        seconds = (time.perf_counter() - began) / len(batch)
        if any(isinstance(result, Exception) for result in results):
            self._check_model()
        if self.broken:
            self._fail_all(batch, self.broken)
            return
        for waiting, result in zip(batch, results, strict=True):
            self._settle(waiting, result, seconds=seconds)

    def _judge_all(self, batch: "Sequence[_Waiting]") -> "list[Attribution]":
        images, judges = [waiting.image for waiting in batch], [waiting.judge for waiting in batch]
        if not any(judges):
            return self._attributor.attribute(images)
        return self._attributor.attribute(images, judges=judges)

    def _settle(self, waiting: _Waiting, result: "Attribution | Exception", *, seconds: float) -> None:
        if not isinstance(result, Exception):
            judge = waiting.judge
            version = judge.version if judge is not None else self._attributor.density_version
            attributed = Attributed(result, version, seconds)
            waiting.future.set_result(attributed)
            return
        log.warning("image_not_attributed", sha256=waiting.image.sha256, exc_info=result)
        detail = f"The model failed on this image {self._max_attempts} times: {type(result).__name__}."
        failure = AttributionFailed(detail)
        failure.__cause__ = result
        waiting.future.set_exception(failure)

    def _fail_all(self, batch: Sequence[_Waiting], error: ModelBroken) -> None:
        for waiting in batch:
            waiting.future.set_exception(error)

    def _check_model(self) -> None:
        try:
            self._attributor.self_test()
        except Exception as error:
            log.critical("model_broken", exc_info=error)
            self.broken = ModelBroken(f"the model fails its self-test ({error}); restart this worker")
