"""The stream simulation: every image gets an answer, near copies collapse, and plots are whole SVG files."""

import argparse
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.open_set_stream import ALPHAS, KNOWN_A_DAY, Run, simulate
from benchmarks.stream_plots import plot_attack, plot_false_alarms


@pytest.fixture(scope="module")
def run() -> Run:
    arguments = argparse.Namespace(days=6, new=2, separation=3.0)
    return simulate(0, arguments, attack=40)


def test_every_image_is_answered(run: Run) -> None:
    name = run.world.known[0].name
    assert [sum(day.values()) for day in run.said[name]] == [KNOWN_A_DAY] * 6


def test_copies_do_not_fill_quarantine(run: Run) -> None:
    sent = sum(day.get("unseen", 0) for day in run.said[run.world.attacker.name])
    new = sum(day.get("unseen", 0) for one in run.world.new for day in run.said[one.name])
    assert sent > 0
    assert run.attacker_held < 0.75 * sent / (sent + new)


def test_plots_are_whole_files() -> None:
    drawn = [
        plot_false_alarms(ALPHAS, np.tile(ALPHAS, (2, 1))),
        plot_attack(
            {0: dict.fromkeys(("purity", "enrolled", "share", "false alarms"), 0.5)}
            | {9: dict.fromkeys(("purity", "enrolled", "share", "false alarms"), 0.5)}
        ),
    ]
    assert all(ElementTree.fromstring(each).tag.endswith("svg") for each in drawn)
