"""Numbers that an embedding keeps for classes to come have no say in novelty, whatever they are."""

import numpy as np
import pytest

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.density_file import DensityUnusable
from tests.synthetic import CLASSES, embeddings_of

JUDGED, KEPT = embeddings_of("alpha", 0, count=1).shape[1], 5


def rows(seed: int, *, count: int) -> np.ndarray:
    return np.concatenate([embeddings_of(name, seed, count=count) for name in CLASSES])


def with_kept(embeddings: np.ndarray, seed: int) -> np.ndarray:
    kept = 100 * np.random.default_rng(seed).normal(size=(len(embeddings), KEPT))
    return np.hstack([embeddings, kept]).astype(np.float32)


def fitted(known: np.ndarray, held: np.ndarray, *, judged_dim: int | None) -> OpenSetDensity:
    return OpenSetDensity(model_version="m", judged_dim=judged_dim).fit(
        known,
        np.repeat(CLASSES, len(known) // len(CLASSES)),
        calibration_embeddings=held,
        calibration_labels=np.repeat(CLASSES, len(held) // len(CLASSES)),
    )


def test_novelty_goes_by_judged_numbers_alone() -> None:
    known, held, asked = rows(0, count=30), rows(1, count=20), rows(2, count=10)
    plain = fitted(known, held, judged_dim=None)
    kept = fitted(with_kept(known, 3), with_kept(held, 4), judged_dim=JUDGED)
    for seed in (5, 6):
        assert np.array_equal(kept.novelty(with_kept(asked, seed)), plain.novelty(asked))
    assert np.array_equal(kept.scale(with_kept(asked, 7)), plain.scale(asked))


def test_file_says_how_many_are_judged() -> None:
    density = fitted(with_kept(rows(0, count=30), 3), with_kept(rows(1, count=20), 4), judged_dim=JUDGED)
    again = OpenSetDensity.from_bytes(density.to_bytes())
    asked = with_kept(rows(2, count=10), 5)
    assert again.judged_dim == JUDGED
    assert np.array_equal(again.novelty(asked), density.novelty(asked))


@pytest.mark.parametrize("judged_dim", [0, JUDGED + KEPT + 1])
def test_impossible_number_is_refused(judged_dim: int) -> None:
    density = fitted(with_kept(rows(0, count=30), 3), with_kept(rows(1, count=20), 4), judged_dim=JUDGED)
    density.judged_dim = judged_dim
    with pytest.raises(DensityUnusable, match=f"{judged_dim} of {JUDGED + KEPT} dimensions"):
        OpenSetDensity.from_bytes(density.to_bytes())
