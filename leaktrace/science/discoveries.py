"""Which images of a batch are unseen, with a bound on the share of false ones among them, not on each image alone.

At alpha = 0.05 one image in twenty of a known generator is called unseen by chance, however many are looked at; in a
large batch of known images all that is found is chance. Knows nothing of batches or verdicts.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control


def adjusted_p_values(p_values: ArrayLike) -> NDArray[np.float64]:
    """The false discovery rate (N,) at which each of a batch's p-values (N,) would just be a discovery.

    Those at most q are the discoveries at the rate q. Conformal p-values that share their calibration images depend on
    one another positively, under which the rate holds. Sources: Benjamini and Hochberg 1995, theorem 1; Bates, Candes,
    Lei, Romano and Sesia 2023, theorem 2.

    Raises ValueError when a number lies outside [0, 1] or the shape is not (N,).
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"p-values have shape {values.shape}; (N,) is needed")
    if not len(values):
        return values
    # Rounded, so that fractions which are equal on paper pass a rate that they equal.
    adjusted: NDArray[np.float64] = np.round(false_discovery_control(values, method="bh"), 12)
    return adjusted
