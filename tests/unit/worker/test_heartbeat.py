"""The heartbeat without servers: a worker that does nothing ends itself, one that cannot do anything does not."""

from typing import Any

import pytest

from leaktrace.queue import QueueUnavailable
from worker.heartbeat import Heartbeat
from worker.held_leases import HeldLeases
from worker.progress import Progress


class ScriptedQueue:
    """A broker with so many messages, or none at all (None)."""

    def __init__(self, messages: int | None) -> None:
        self.messages = messages

    def length(self) -> int:
        if self.messages is None:
            raise QueueUnavailable("no broker")
        return self.messages


class RecordingHalt:
    def __init__(self) -> None:
        self.ended = False

    def end_process(self) -> None:
        self.ended = True


def beat(monkeypatch: pytest.MonkeyPatch, *, messages: int | None, stalled_after_seconds: float) -> Any:
    """One beat of a worker that did nothing for a while; says whether it ended itself and whether it said it lives."""
    said: list[bool] = []
    monkeypatch.setattr(Heartbeat, "_say_alive", lambda _: said.append(True))
    halt = RecordingHalt()
    Heartbeat(
        worker_id="w",
        device="cpu",
        engine=None,  # type: ignore[arg-type]
        queue=ScriptedQueue(messages),  # type: ignore[arg-type]
        model=None,  # type: ignore[arg-type]
        leases=HeldLeases(lease_seconds=60),
        progress=Progress(None, stalled_after_seconds=stalled_after_seconds),
        halt=halt,  # type: ignore[arg-type]
    ).beat()
    return halt.ended, bool(said)


def test_silent_consumer_ends_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beat(monkeypatch, messages=3, stalled_after_seconds=-1) == (True, False)


def test_busy_worker_says_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beat(monkeypatch, messages=3, stalled_after_seconds=60) == (False, True)


def test_idle_worker_says_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beat(monkeypatch, messages=0, stalled_after_seconds=1) == (False, True)


def test_absent_broker_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beat(monkeypatch, messages=None, stalled_after_seconds=1) == (False, True)
