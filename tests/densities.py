"""Densities of three classes in six dimensions, for the tests of density and of its file."""

import numpy as np

from leaktrace.science.density import OpenSetDensity

DIMENSIONS = 6
CENTRES = {"alpha-1": 0.0, "beta-2": 3.0, "real": -3.0}


def drawn(
    per_class: int, seed: int, *, names: tuple[str, ...] = tuple(CENTRES)
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = [generator.normal(CENTRES[name], 1, (per_class, DIMENSIONS)) for name in names]
    return np.concatenate(rows).astype(np.float32), np.repeat(names, per_class)


def fitted(known: int = 40, calibration: int = 60, seed: int = 0, *, whiten: bool = True) -> OpenSetDensity:
    embeddings, labels = drawn(known, seed)
    others, other_labels = drawn(calibration, seed + 1)
    density = OpenSetDensity(model_version="starter-0123456789ab", whiten=whiten)
    return density.fit(embeddings, labels, calibration_embeddings=others, calibration_labels=other_labels)
