"""A judge measures each image by the calibration images of its own stratum, says so, and the gates do the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.encoder import Embedded
from leaktrace.science.gates import GateRules, Sample, decisions, held_out_recall
from leaktrace.science.judging import Judge
from tests.synthetic import ALPHA, CLASSES, STEPS, SyntheticAttributor, embeddings_of, gates_like

IMAGES = 120  # in each of two strata of a class
MOVED = 0.5


def drawn(generator: str, seed: int, *, count: int, strata: NDArray[np.str_]) -> NDArray[np.float32]:
    """In the stratum "moved" all images lie elsewhere."""
    embeddings = embeddings_of(generator, seed, count=count)
    return embeddings + np.float32(MOVED) * (strata == "moved")[:, None]


@pytest.fixture(scope="module")
def judge() -> Judge:
    attributor = SyntheticAttributor()
    strata = np.array(["plain", "moved"] * IMAGES)
    held = np.concatenate([drawn(name, 1, count=2 * IMAGES, strata=strata) for name in CLASSES])
    density = OpenSetDensity(model_version=attributor.version).fit(
        np.concatenate([embeddings_of(name, 0, count=60) for name in CLASSES]),
        np.repeat(CLASSES, 60),
        calibration_embeddings=held,
        calibration_labels=np.repeat(CLASSES, 2 * IMAGES),
        calibration_gates=gates_like(held),
        calibration_strata=np.tile(strata, len(CLASSES)),
    )
    return attributor.make_judge(density, version="test")


def sample(stratum: str, *, count: int = 400) -> Sample:
    strata = np.full(count, stratum)
    embeddings = drawn("alpha", 5, count=count, strata=strata)
    return Sample(embeddings, gates_like(embeddings), np.full(count, "alpha"), strata)


def test_answer_says_what_measured_it(judge: Judge) -> None:
    embeddings = torch.from_numpy(embeddings_of("alpha", 9, count=2))
    attention = torch.full((2, len(STEPS)), 1 / len(STEPS))
    embedded = Embedded(embeddings, torch.full_like(embeddings, 0.5), attention)
    known, unknown = judge.judge(embedded, extended=[False, False], strata=["moved", ""])
    by_stratum = {name: {"images": IMAGES, "of": "stratum"} for name in CLASSES}
    by_class = {name: {"images": 2 * IMAGES, "of": "class"} for name in CLASSES}
    assert known.to_dict()["calibration"] == {"stratum": "moved", "classes": by_stratum}
    assert unknown.to_dict()["calibration"] == {"stratum": None, "classes": by_class}
    assert (known.smallest_p, unknown.smallest_p) == (1 / (IMAGES + 1), 1 / (2 * IMAGES + 1))


def test_moved_stratum_alarms_no_more_often(judge: Judge) -> None:
    images = sample("moved")
    by_strata = (decisions(judge, images) == "unseen").mean()
    by_class = (decisions(judge, replace(images, strata=None)) == "unseen").mean()
    assert by_strata <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / IMAGES)
    assert by_class >= by_strata + 0.02


def test_left_out_image_is_left_out_of_its_stratum(judge: Judge) -> None:
    kept = judge.density.calibration_
    assert kept is not None
    own = (kept.labels == 0) & (kept.strata == "moved")
    held = Sample(kept.embeddings[own], kept.gates[own], strata=kept.strata[own])
    gate = held_out_recall(judge, held, name="alpha", rules=GateRules())
    # Leaving one out, 120 images have the p-values 1/120, 2/120, ..., of which six are at most alpha.
    assert gate.measured == pytest.approx(114 / 120)
