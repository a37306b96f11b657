"""Sets of embeddings as a density takes them: finite, labelled, of one dimension, and disjoint where they must be.

Every refusal is a ValueError that names both numbers; nothing is corrected in silence.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked_embeddings(values: ArrayLike, *, name: str) -> NDArray[np.float32]:
    """The values as finite float32 embeddings (N, D)."""
    embeddings = np.asarray(values, dtype=np.float32)
    if embeddings.ndim != 2 or not embeddings.shape[1]:
        raise ValueError(f"the {name} embeddings have shape {embeddings.shape}; (rows, dimensions) is needed")
    bad = int((~np.isfinite(embeddings)).any(axis=1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(embeddings)} {name} embeddings are not finite")
    return embeddings


def checked_labelled(
    values: ArrayLike, labels: ArrayLike, *, name: str
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Embeddings (N, D) with one label each."""
    embeddings, names = checked_embeddings(values, name=name), np.asarray(labels, dtype=np.str_)
    if names.shape != (len(embeddings),) or not len(embeddings):
        raise ValueError(f"{len(embeddings)} {name} embeddings came with labels of shape {names.shape}")
    return embeddings, names


def check_sets(
    known: NDArray[np.float32],
    calibration: NDArray[np.float32],
    *,
    known_classes: NDArray[np.str_],
    calibration_labels: NDArray[np.str_],
) -> None:
    """Known and calibration must agree in dimension and classes, and share no embedding."""
    if known.shape[1] != calibration.shape[1]:
        raise ValueError(
            f"known embeddings have {known.shape[1]} dimensions, calibration {calibration.shape[1]}"
        )
    difference = sorted(set(known_classes.tolist()) ^ set(calibration_labels.tolist()))
    if difference:
        raise ValueError(f"classes {difference} are in only one of the known and the calibration set")
    shared = {row.tobytes() for row in known} & {row.tobytes() for row in calibration}
    if shared:
        raise ValueError(
            f"{len(shared)} of {len(calibration)} calibration embeddings are also known ones; keep the sets apart"
        )
