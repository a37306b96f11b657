"""The simulation of strata: few calibration images are measured by their class, many by their stratum."""

import numpy as np

from benchmarks.strata import measure


def test_few_images_change_nothing() -> None:
    by_class, by_strata = measure(100, np.random.default_rng(0))
    assert np.array_equal(by_class, by_strata)


def test_many_images_mend_the_shifted_ones() -> None:
    by_class, by_strata = measure(400, np.random.default_rng(0))
    assert by_strata[2] < by_class[2]
