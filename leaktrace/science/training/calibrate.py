"""Stage three of training: temperature, density, conformal calibration, golden answers; writes the model folder.

The known set of the density is the training split and the calibration set is the validation split, which the networks
have not seen. The temperature is fitted on validation too; p-values come from embeddings alone and do not depend on
it. Knows nothing of optimisers.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leaktrace.science.attributor import Attributor, golden_answers
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.encoder import Embedded
from leaktrace.science.images import decode, read_header
from leaktrace.science.inference import InferencePass, choose_device
from leaktrace.science.model_folder import (
    DENSITY,
    Model,
    noise_key_of,
    sha256,
    version_of,
    write_card,
    write_model,
)
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare
from leaktrace.science.strata import stratum_of
from leaktrace.science.temperature import fit_temperature
from leaktrace.science.training.dataset import FittingSet, Sample

ALPHA = 0.05
MIN_PROBABILITY = 0.5
EMBEDDED_AT_ONCE = 64
# Answers in bfloat16 stay within these of answers in float32; see docs/model-card.md for what was measured.
GOLDEN_EMBEDDING_TOLERANCE = 0.05
GOLDEN_PROBABILITY_TOLERANCE = 0.05

Report = Callable[[str, float, float], None]


def prepare_samples(samples: Sequence[Sample], preprocessing: Preprocessing) -> list[PreparedImage]:
    """Decode and prepare all samples, in order, on two threads. Raises ImageRefused for an unusable file."""

    def prepared(sample: Sample) -> PreparedImage:
        return prepare(decode(sample.path.read_bytes()), preprocessing)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(prepared, samples))


def calibrate(
    model: Model, out: Path, *, fitting: FittingSet, calibration: FittingSet, report: Report
) -> dict[str, Any]:
    """Fit all that follows the networks and write the folder; returns the card."""
    known = embed(model, out, fitting=fitting, report=report)
    held = embed(model, out, fitting=calibration, report=report)
    labels = [model.classes.index(sample.generator) for sample in calibration.samples]
    with torch.inference_mode():
        scores = model.net.head(held.embedding, held.gate)
    model = replace(model, temperature=fit_temperature(scores, labels))
    card = write_model(out, model)
    judged_dim = model.net.config.judged_dim
    density = OpenSetDensity(model_version=version_of(card), judged_dim=judged_dim).fit(
        known.embedding.numpy(),
        np.array([sample.generator for sample in fitting.samples]),
        calibration_embeddings=held.embedding.numpy(),
        calibration_labels=np.array([sample.generator for sample in calibration.samples]),
        calibration_gates=held.gate.numpy(),
        calibration_strata=[stratum_of(read_header(one.path.read_bytes())) for one in calibration.samples],
    )
    (out / DENSITY).write_bytes(density.to_bytes())
    card["density"] = {
        "sha256": sha256(out / DENSITY),
        "known_images": len(fitting.samples),
        "bandwidths": dict(zip(model.classes, density.bandwidths_.tolist(), strict=True)),
        "calibration_images": dict(zip(model.classes, density.calibration_counts_.tolist(), strict=True)),
        "smallest_p": dict(zip(model.classes, density.smallest_p_.tolist(), strict=True)),
    }
    card["verdict"] = {"alpha": ALPHA, "min_probability": MIN_PROBABILITY}
    card["limits"] = _limits(density)
    card["golden"] = _golden(model, card)
    write_card(out, card)
    Attributor.load(out).self_test()
    return card


def _limits(density: OpenSetDensity) -> list[str]:
    """What the model cannot do, in words, with the numbers that say why."""
    smallest, fewest = float(density.smallest_p_.max()), int(density.calibration_counts_.min())
    return [
        f"The smallest p-value is {smallest:.4f} ({fewest} calibration images in the smallest class), so a false-alarm "
        "rate of 0.01 cannot be promised: that needs 99 calibration images in every class.",
        "The temperature and the conformal calibration share the validation split. p-values do not depend on the "
        "temperature, and the networks never saw that split; a recipe may have been preferred on it.",
        "`real` was learned from photographs of other subjects than the generated pictures show, with another history "
        "of compression, so a part of what tells it apart is content and history rather than a generator's trace.",
        "Only the generators in `classes` can be named. An unseen relative of a known one, above all one that shares "
        "its autoencoder, may pass for it.",
        "Resized, blurred, rotated and recompressed crops were practised, screenshots and social media were not.",
    ]


def embed(model: Model, out: Path, *, fitting: FittingSet, report: Report) -> Embedded:
    """Embed through the one path that every image takes."""
    card = write_model(out, model)
    inference = InferencePass(model, noise_key=noise_key_of(card), device=choose_device("cpu"))
    parts = []
    samples = fitting.samples
    for start in range(0, len(samples), EMBEDDED_AT_ONCE):
        chunk = samples[start : start + EMBEDDED_AT_ONCE]
        parts.append(inference.embed(prepare_samples(chunk, model.preprocessing)))
        report(f"embedding to {fitting.purpose}", (start + len(chunk)) / len(samples), 0.0)
    return Embedded.joined(parts)


def _golden(model: Model, card: dict[str, Any]) -> dict[str, Any]:
    """Answers in float32, which every device can reproduce; the tolerance covers bfloat16 devices."""
    inference = InferencePass(
        model, noise_key=noise_key_of(card), device=choose_device("cpu"), precision=torch.float32
    )
    tolerance = {"embeddings": GOLDEN_EMBEDDING_TOLERANCE, "probabilities": GOLDEN_PROBABILITY_TOLERANCE}
    return golden_answers(inference) | {"tolerance": tolerance}
