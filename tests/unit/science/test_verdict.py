"""Three verdicts, their reasons, and the level below which nothing is promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaktrace.science.verdict import Verdict, decide

CLASSES = ("flux", "real", "sdxl")


def verdict(
    probabilities: tuple[float, ...],
    p_values: tuple[float, ...],
    *,
    calibration: int = 99,
    alpha: float = 0.05,
) -> Verdict:
    floors = np.full(len(CLASSES), 1 / (calibration + 1))
    return decide(probabilities, p_values, CLASSES, smallest_p=floors, alpha=alpha, min_probability=0.5)


def test_fitting_generator_is_named() -> None:
    given_verdict = verdict((0.9, 0.05, 0.05), (0.4, 0.01, 0.01))
    assert (given_verdict.verdict, given_verdict.generator, given_verdict.p_value) == (
        "generator",
        "flux",
        0.4,
    )


def test_real_is_a_class() -> None:
    assert verdict((0.1, 0.8, 0.1), (0.01, 0.7, 0.01)).generator == "real"


def test_misfit_is_unseen() -> None:
    given_verdict = verdict((0.99, 0.005, 0.005), (0.05, 0.01, 0.02))
    assert (given_verdict.verdict, given_verdict.generator) == ("unseen", None)


def test_improbable_is_inconclusive() -> None:
    given_verdict = verdict((0.4, 0.3, 0.3), (0.4, 0.3, 0.3))
    assert given_verdict.verdict == "inconclusive"
    assert "flux, has probability 0.40; 0.5 is needed" in given_verdict.reason


def test_disagreement_is_inconclusive() -> None:
    given_verdict = verdict((0.9, 0.05, 0.05), (0.02, 0.01, 0.6))
    assert given_verdict.verdict == "inconclusive"
    assert "closest to sdxl" in given_verdict.reason


def test_scarce_calibration_is_inconclusive() -> None:
    floor = 1 / 11
    given_verdict = verdict((0.9, 0.05, 0.05), (floor, floor, floor), calibration=10)
    assert given_verdict.verdict == "inconclusive"
    assert "10 calibration images and alpha = 0.05 needs 19" in given_verdict.reason


def test_one_scarce_class_suffices() -> None:
    floors, p_values = (0.01, 0.01, 1 / 11), (0.01, 0.02, 1 / 11)
    given_verdict = decide(
        (0.9, 0.05, 0.05), p_values, CLASSES, smallest_p=floors, alpha=0.05, min_probability=0.5
    )
    assert given_verdict.verdict == "inconclusive"
    assert "sdxl has 10" in given_verdict.reason


probability = st.floats(0, 1)


@given(
    head=st.tuples(probability, probability, probability),
    fits=st.tuples(probability, probability, probability),
    calibration=st.integers(1, 200),
    alpha=st.sampled_from([0.01, 0.05, 0.1]),
)
@settings(max_examples=300, deadline=None)
def test_unseen_is_never_overpromised(
    head: tuple[float, ...], fits: tuple[float, ...], calibration: int, alpha: float
) -> None:
    given_verdict = verdict(head, fits, calibration=calibration, alpha=alpha)
    if given_verdict.verdict == "unseen":
        assert 1 / (calibration + 1) <= alpha
        assert max(fits) <= alpha


@given(
    head=st.tuples(probability, probability, probability),
    fits=st.tuples(probability, probability, probability),
)
@settings(max_examples=300, deadline=None)
def test_named_generator_fits(head: tuple[float, ...], fits: tuple[float, ...]) -> None:
    given_verdict = verdict(head, fits)
    assert (given_verdict.generator is not None) == (given_verdict.verdict == "generator")
    if given_verdict.generator is not None:
        assert fits[CLASSES.index(given_verdict.generator)] > 0.05


@pytest.mark.parametrize(
    ("head", "fits", "words"),
    [
        ((0.5, 0.5), (0.1, 0.1, 0.1), "(2,)"),
        ((1, 0, 0), (0.1, 0.1, float("nan")), "p-values"),
        ((2, 0, 0), (1, 1, 1), "2.0"),
    ],
)
def test_wrong_numbers_are_refused(head: tuple[float, ...], fits: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        verdict(head, fits)
