"""The known density anew, with confirmed images beside those that the model was trained with.

Confirmed images join the known ones only. The calibration images stay those that were set aside when the model was
made: what people confirm is no random sample of what is submitted, and a calibration on it would bend the false-alarm
rate. Knows nothing of who confirmed what.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from leaktrace.science.density import OpenSetDensity


def refit_known(
    foundation: OpenSetDensity, embeddings: NDArray[np.float32], names: NDArray[np.str_]
) -> OpenSetDensity:
    """The foundation fitted again with embeddings (N, D) of the generators `names` (N,).

    Embeddings that the foundation holds already, as known or for calibration, are left out.

    Raises ValueError when the foundation does not carry its calibration images, or does not know a name.
    """
    calibration = foundation.calibration_
    if calibration is None:
        raise ValueError("the model's own density carries 0 calibration images, so it cannot be fitted again")
    classes = np.asarray(foundation.classes_, dtype=np.str_)
    unknown = sorted(set(names.tolist()) - set(classes.tolist()))
    if unknown:
        raise ValueError(f"{len(unknown)} of the names are not among the {len(classes)} classes: {unknown}")
    held = {row.tobytes() for row in (*foundation.embeddings_, *calibration.embeddings)}
    fresh = [row for row, embedding in enumerate(embeddings) if embedding.tobytes() not in held]
    refitted: OpenSetDensity = clone(foundation).fit(
        np.concatenate([foundation.embeddings_, embeddings[fresh]]),
        np.concatenate([classes[foundation.labels_], names[fresh]]),
        calibration_embeddings=calibration.embeddings,
        calibration_labels=classes[calibration.labels],
        calibration_gates=calibration.gates,
        background=foundation.background_ and foundation.background_.embeddings,
    )
    return refitted
