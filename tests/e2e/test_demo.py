"""`leaktrace demo` on a folder of good and bad pictures: every one gets its outcome, and nothing is left running."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.servers import remove_data
from tests.e2e.commands import Finished, Running, run
from tests.e2e.pictures import PICTURES, SUCCEEDED, write_pictures


@dataclass(frozen=True)
class Demo:
    """A demo that has ended, and what it wrote."""

    finished: Finished
    home: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The results file."""
        return [json.loads(line) for line in (self.home / "demo-results.ndjson").read_text().splitlines()]

    @property
    def outcomes(self) -> dict[str, str]:
        """By file: "succeeded", or the code of the failure."""
        return {
            line["custom_id"]: line["error"]["code"] if line.get("error") else line["state"]
            for line in self.lines[:-1]
        }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One run over all pictures."""
    home = tmp_path_factory.mktemp("demo")
    folder = write_pictures(home / "pictures")
    yield Demo(run("demo", folder, cwd=home), home)
    remove_data(home / ".leaktrace")


def test_demo_exits_with_zero(demo: Demo) -> None:
    assert demo.finished.exit_code == 0, demo.finished.output


@pytest.mark.parametrize(("name", "outcome"), [(name, outcome) for name, (_, outcome) in PICTURES.items()])
def test_picture_gets_its_outcome(demo: Demo, name: str, outcome: str) -> None:
    assert demo.outcomes[name] == outcome


def test_every_picture_is_told_once(demo: Demo) -> None:
    names = [line["custom_id"] for line in demo.lines[:-1]]
    assert sorted(names) == sorted(PICTURES)


def test_results_end_with_count(demo: Demo) -> None:
    assert demo.lines[-1] == {"type": "end", "count": len(PICTURES)}


def test_equal_pictures_are_answered_alike(demo: Demo) -> None:
    found = {line["custom_id"]: line.get("attribution") for line in demo.lines[:-1]}
    first, second = found["good.png"], found["again/good.png"]
    assert first["probabilities"] == second["probabilities"]


def test_extended_picture_is_marked(demo: Demo) -> None:
    found = {line["custom_id"]: line.get("attribution") for line in demo.lines[:-1]}
    assert found["smaller-than-the-crop.png"]["extended"]
    assert not found["good.jpg"]["extended"]


def test_table_counts_failures(demo: Demo) -> None:
    assert "failed: too_many_pixels" in demo.finished.output


def test_report_shows_every_picture(demo: Demo) -> None:
    page = (demo.home / "demo-report.html").read_text()
    assert page.count("<article") == len(PICTURES)


def test_report_has_thumbnails(demo: Demo) -> None:
    page = (demo.home / "demo-report.html").read_text()
    succeeded = [name for name, (_, outcome) in PICTURES.items() if outcome == SUCCEEDED]
    assert page.count("data:image/webp;base64,") == len(succeeded)


def test_log_is_plain_text(demo: Demo) -> None:
    assert "\x1b" not in demo.finished.output


def test_documentation_is_named(demo: Demo) -> None:
    assert "/docs" in demo.finished.output


def test_demo_leaves_nothing_running(demo: Demo) -> None:
    assert demo.finished.survivors == []


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A demo that was interrupted as soon as its service was ready."""
    home = tmp_path_factory.mktemp("interrupted")
    running = Running(["demo", str(write_pictures(home / "pictures"))], home)
    try:
        running.wait_for("Ready in")
        yield running.finish(signal.SIGINT)
    finally:
        running.kill()
        remove_data(home / ".leaktrace")


def test_interrupted_demo_exits_with_130(interrupted: Finished) -> None:
    assert interrupted.exit_code == 130, interrupted.output


def test_interrupted_demo_leaves_nothing(interrupted: Finished) -> None:
    assert interrupted.survivors == []


def test_interruption_is_no_traceback(interrupted: Finished) -> None:
    assert "Traceback" not in interrupted.output
