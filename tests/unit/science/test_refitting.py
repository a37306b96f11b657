"""The known density anew: confirmed images join the known ones, as many as pass, and the calibration images stay."""

import numpy as np
import pytest

from leaktrace.science.gates import Gate
from leaktrace.science.refitting import refit_known, step_sizes, try_steps
from tests.synthetic import embeddings_of, make_density


def test_calibration_images_stay() -> None:
    foundation = make_density("m-1")
    refitted = refit_known(foundation, embeddings_of("alpha", 50, count=9), np.array(["alpha"] * 9))
    assert foundation.calibration_ is not None
    assert refitted.calibration_ is not None
    before, after = (
        sorted(row.tobytes() for row in density.calibration_.embeddings) for density in (foundation, refitted)
    )
    assert after == before
    assert len(refitted.embeddings_) == len(foundation.embeddings_) + 9


def test_held_images_do_not_join() -> None:
    foundation = make_density("m-1")
    assert foundation.calibration_ is not None
    held = np.concatenate([foundation.calibration_.embeddings[:3], foundation.embeddings_[:2]])
    refitted = refit_known(foundation, held, np.array(["alpha"] * 5))
    assert len(refitted.embeddings_) == len(foundation.embeddings_)


def test_unknown_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of the names are not among the 3 classes"):
        refit_known(make_density("m-1"), embeddings_of("gamma", 1, count=2), np.array(["gamma"] * 2))


@pytest.mark.parametrize(
    ("used", "confirmed", "most", "sizes"),
    [
        (0, 500, 180, [180, 90, 45, 22, 11]),
        (180, 500, 180, [360, 270, 225, 202, 191]),
        (180, 190, 180, [190, 185, 182, 181]),
        (0, 1, 18, [1]),
        (20, 15, 18, [15]),  # five of those that the champion holds were taken back
    ],
)
def test_steps_are_halved(used: int, confirmed: int, most: int, sizes: list[int]) -> None:
    assert step_sizes(used, confirmed=confirmed, most=most) == sizes


def flips_over(limit: int, size: int) -> list[Gate]:
    return [Gate("reference_flips", size <= limit, size, limit, f"{size} flips")]


def test_largest_step_that_passes_is_taken() -> None:
    step, tried = try_steps([180, 90, 45, 22, 11], lambda size: flips_over(50, size))
    assert (step.made, step.failed, [one.made for one in tried]) == (45, (), [180, 90, 45])
    assert [[gate.measured for gate in one.failed] for one in tried] == [[180], [90], []]


def test_largest_step_is_kept_when_all_fail() -> None:
    step, tried = try_steps([180, 90], lambda size: flips_over(0, size))
    assert (step.made, len(step.failed), len(tried)) == (180, 1, 2)
