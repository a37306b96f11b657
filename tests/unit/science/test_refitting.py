"""The known density anew: confirmed images join the known ones, and the calibration images stay what they were."""

import numpy as np
import pytest

from leaktrace.science.refitting import refit_known
from tests.synthetic import embeddings_of, make_density


def test_calibration_images_stay() -> None:
    foundation = make_density("m-1")
    refitted = refit_known(foundation, embeddings_of("alpha", 50, count=9), np.array(["alpha"] * 9))
    assert foundation.calibration_ is not None
    assert refitted.calibration_ is not None
    assert np.array_equal(refitted.calibration_.embeddings, foundation.calibration_.embeddings)
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
