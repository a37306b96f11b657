"""Watches processes while something runs: their resident memory, and the processor time that they take."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 0.2
MEGABYTE = 1e6


@dataclass
class MemoryWatch:
    """A context manager: samples each process, with its children, until the block ends."""

    pids: Mapping[str, int]
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def peak_megabytes(self, name: str) -> float:
        """The largest sample of a process."""
        return max(megabytes for _, megabytes in self.samples[name])

    def growth(self, name: str, *, since: float = 0.0, until: float = float("inf")) -> float:
        """Mean of the last third of the samples in a span of `time.monotonic`, over the mean of its first third."""
        inside = [megabytes for at, megabytes in self.samples[name] if since <= at <= until]
        third = max(1, len(inside) // 3)
        return _mean(inside[-third:]) / _mean(inside[:third])

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            for name, pid in self.pids.items():
                self.samples.setdefault(name, []).append((time.monotonic(), _resident(pid) / MEGABYTE))


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else float("nan")


def _resident(pid: int) -> float:
    process = psutil.Process(pid)
    return float(sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]))


def processor_seconds(pid: int) -> float:
    """What a process and its children, ended ones too, have taken of the processor so far."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    living = [child.cpu_times() for child in process.children(recursive=True)]
    ended = own.children_user + own.children_system
    return float(ended + sum(times.user + times.system for times in [own, *living]))
