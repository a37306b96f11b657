"""Suspects run alone; all others side by side."""

import threading
from contextlib import ExitStack

from tests.submissions import wait_until
from worker.solitude import Solitude

SECONDS = 10


class Visitor(threading.Thread):
    """Enters, stays until it is told to leave."""

    def __init__(self, solitude: Solitude, *, alone: bool) -> None:
        super().__init__(daemon=True)
        self._solitude, self._alone = solitude, alone
        self.inside, self.may_leave = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._solitude.enter(alone=self._alone):
            self.inside.set()
            self.may_leave.wait(SECONDS)

    def leave(self) -> None:
        self.may_leave.set()
        self.join(SECONDS)


def test_unsuspected_run_together() -> None:
    solitude = Solitude()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(solitude.enter(alone=False))
        assert solitude._running == 3


def test_suspect_waits_for_others() -> None:
    solitude = Solitude()
    other = Visitor(solitude, alone=False)
    assert other.inside.wait(SECONDS)
    suspect = Visitor(solitude, alone=True)
    waited = not suspect.inside.wait(0.1)
    other.leave()
    assert (waited, suspect.inside.wait(SECONDS)) == (True, True)
    suspect.leave()


def test_others_wait_for_suspect() -> None:
    solitude = Solitude()
    suspect = Visitor(solitude, alone=True)
    assert suspect.inside.wait(SECONDS)
    other = Visitor(solitude, alone=False)
    waited = not other.inside.wait(0.1)
    suspect.leave()
    assert (waited, other.inside.wait(SECONDS)) == (True, True)
    other.leave()


def test_suspect_is_not_starved() -> None:
    solitude = Solitude()
    first = Visitor(solitude, alone=False)
    assert first.inside.wait(SECONDS)
    suspect = Visitor(solitude, alone=True)
    wait_until(lambda: solitude._wishes == 1)
    late = Visitor(solitude, alone=False)
    first.leave()
    assert (suspect.inside.wait(SECONDS), late.inside.is_set()) == (True, False)
    suspect.leave()
    late.leave()


def test_two_suspects_take_turns() -> None:
    solitude = Solitude()
    suspects = [Visitor(solitude, alone=True) for _ in range(2)]
    wait_until(lambda: any(suspect.inside.is_set() for suspect in suspects))
    assert sum(suspect.inside.is_set() for suspect in suspects) == 1
    for suspect in suspects:
        suspect.may_leave.set()
    assert all(suspect.inside.wait(SECONDS) for suspect in suspects)


def test_failure_gives_way() -> None:
    solitude = Solitude()
    try:
        with solitude.enter(alone=True):
            raise KeyError
    except KeyError:
        pass
    with solitude.enter(alone=False):
        assert solitude._wishes == 0
