"""Conformal p-values from calibration scores, and what a number of calibration images can promise.

A p-value cannot fall under 1 / (n + 1): what that makes impossible is said, never rounded away. Knows nothing of
embeddings, densities or verdicts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Fractions that are equal on paper must compare as equal.
_ROUNDING = 1e-9


def images_needed(alpha: float) -> int:
    """Calibration images of a class below which no p-value can be `alpha` or less."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    return int(np.ceil(1 / alpha - _ROUNDING)) - 1


def p_values(novelty: Floats, calibration: Sequence[Floats]) -> Floats:
    """(1 + calibration images of c at least as novel) / (n_c + 1) for novelty (B, K) and K sorted arrays.

    For an image of class c that is exchangeable with its calibration images, P(p_c <= alpha) <= alpha. Source:
    class-conditional (Mondrian) conformal prediction, Vovk, Gammerman and Shafer 2005, section 4.5.
    """
    found = np.empty_like(novelty)
    for index, scores in enumerate(calibration):
        at_least = len(scores) - np.searchsorted(scores, novelty[:, index], side="left")
        found[:, index] = (1 + at_least) / (len(scores) + 1)
    return found
