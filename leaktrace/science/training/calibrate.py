"""The last stage of training: temperature, density, conformal calibration, golden answers; writes the model folder.

The known set of the density is the training split, its background the strangers that were practised on, and the
calibration set the validation split, which the networks have not seen. The temperature is fitted on validation too;
p-values come from embeddings alone and do not depend on it. Knows nothing of optimisers.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from leaktrace.science.attributor import Attributor, golden_answers
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.encoder import Embedded
from leaktrace.science.images import decode
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
from leaktrace.science.temperature import fit_temperature
from leaktrace.science.training.dataset import FittingSet

ALPHA = 0.05
MIN_PROBABILITY = 0.5
EMBEDDED_AT_ONCE = 64
# Answers in bfloat16 stay within these of answers in float32; see docs/model-card.md for what was measured.
GOLDEN_EMBEDDING_TOLERANCE = 0.05
GOLDEN_PROBABILITY_TOLERANCE = 0.05

Pixels = NDArray[np.uint8]
Report = Callable[[str, float, float], None]
Share = Callable[[float], None]  # how much of one thing is done


def prepare_files(files: Sequence[Callable[[], bytes]], preprocessing: Preprocessing) -> list[PreparedImage]:
    """Read, decode and prepare all files, in order, on two threads. Raises ImageRefused for an unusable file."""

    def prepared(read: Callable[[], bytes]) -> PreparedImage:
        return prepare(decode(read()), preprocessing)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(prepared, files))


def calibrate(
    model: Model,
    out: Path,
    *,
    fitting: FittingSet,
    calibration: FittingSet,
    strangers: Sequence[Pixels] = (),
    report: Report,
) -> dict[str, Any]:
    """Fit all that follows the networks and write the folder; returns the card.

    `strangers` (H, W, 3) become the density's background; without them it has none.
    """
    inference = InferencePass(
        model, noise_key=noise_key_of(write_model(out, model)), device=choose_device("cpu")
    )
    known = _embed(inference, _files(fitting), report=_of("embedding known images", report))
    held = _embed(inference, _files(calibration), report=_of("embedding to calibrate", report))
    background = None
    if strangers:
        files = [partial(_png, one) for one in strangers]
        background = _embed(inference, files, report=_of("embedding strangers", report)).embedding.numpy()
    labels = [model.classes.index(sample.generator) for sample in calibration.samples]
    with torch.inference_mode():
        scores = model.net.head(held.embedding, held.gate)
    model = replace(model, temperature=fit_temperature(scores, labels))
    card = write_model(out, model)
    density = OpenSetDensity(model_version=version_of(card)).fit(
        known.embedding.numpy(),
        np.array([sample.generator for sample in fitting.samples]),
        calibration_embeddings=held.embedding.numpy(),
        calibration_labels=np.array([sample.generator for sample in calibration.samples]),
        calibration_gates=held.gate.numpy(),
        background=background,
    )
    (out / DENSITY).write_bytes(density.to_bytes())
    card["density"] = {
        "sha256": sha256(out / DENSITY),
        "known_images": len(fitting.samples),
        "bandwidths": dict(zip(model.classes, density.bandwidths_.tolist(), strict=True)),
        "calibration_images": dict(zip(model.classes, density.calibration_counts_.tolist(), strict=True)),
        "smallest_p": dict(zip(model.classes, density.smallest_p_.tolist(), strict=True)),
        "background_images": len(strangers),
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


def _embed(inference: InferencePass, files: Sequence[Callable[[], bytes]], *, report: Share) -> Embedded:
    """Embed through the one path that every image takes."""
    parts = []
    for start in range(0, len(files), EMBEDDED_AT_ONCE):
        chunk = files[start : start + EMBEDDED_AT_ONCE]
        parts.append(inference.embed(prepare_files(chunk, inference.model.preprocessing)))
        report((start + len(chunk)) / len(files))
    fields = ("embedding", "gate", "attention")
    return Embedded(*(torch.cat([getattr(part, name) for part in parts]) for name in fields))


def _files(images: FittingSet) -> list[Callable[[], bytes]]:
    return [sample.path.read_bytes for sample in images.samples]


def _png(pixels: Pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _of(stage: str, report: Report) -> Share:
    return lambda share: report(stage, share, 0.0)


def _golden(model: Model, card: dict[str, Any]) -> dict[str, Any]:
    """Answers in float32, which every device can reproduce; the tolerance covers bfloat16 devices."""
    inference = InferencePass(
        model, noise_key=noise_key_of(card), device=choose_device("cpu"), precision=torch.float32
    )
    tolerance = {"embeddings": GOLDEN_EMBEDDING_TOLERANCE, "probabilities": GOLDEN_PROBABILITY_TOLERANCE}
    return golden_answers(inference) | {"tolerance": tolerance}
