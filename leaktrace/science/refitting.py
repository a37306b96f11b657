"""The known density anew, with confirmed images beside those that the model was trained with.

Confirmed images join the known ones only, in the scales and bandwidths that these were given. The calibration images
stay those that were set aside when the model was made: what people confirm is no random sample of what is submitted,
and a calibration on it would bend the false-alarm rate. Knows nothing of who confirmed what.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity


def refit_known(
    foundation: OpenSetDensity, embeddings: NDArray[np.float32], names: NDArray[np.str_]
) -> OpenSetDensity:
    """The foundation with embeddings (N, D) of the generators `names` (N,) among the known ones, calibrated again.

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
    parts = foundation.parts()
    joined = tuple(range(len(parts.embeddings), len(parts.embeddings) + len(fresh)))
    extended = replace(
        parts,
        embeddings=np.concatenate([parts.embeddings, embeddings[fresh]]),
        labels=np.concatenate([parts.labels, np.searchsorted(classes, names[fresh])]),
        joined=(*parts.joined, *joined),
        facts=None,
    )
    novelty = OpenSetDensity.from_parts(extended).novelty(calibration.embeddings)
    scores = tuple(np.sort(novelty[calibration.labels == index, index]) for index in range(len(classes)))
    return OpenSetDensity.from_parts(replace(extended, calibration_scores=scores))
