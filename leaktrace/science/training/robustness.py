"""How a model's figures fall when images are processed after they were made: one curve an operator.

The same images pass untouched and under every operator and level, so that a loss is paired. Knows nothing of how an
operator works or of terminals.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from leaktrace.science.attributor import Attributor
from leaktrace.science.images import DecodedImage, ImageHeader, decode
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare
from leaktrace.science.training.dataset import Sample
from leaktrace.science.training.metrics import Floats, macro_auc, top1
from leaktrace.science.training.postprocess import ATTACKS, apply
from leaktrace.science.training.resampling import draw_counts, interval

IMAGES_AT_ONCE = 16
FIGURES = {"macro_auc": macro_auc, "top1": top1}

Report = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Condition:
    """One operator at one level."""

    operator: str
    level: float


CONDITIONS = tuple(
    Condition(operator, level) for operator, attack in ATTACKS.items() for level in attack.levels
)


def robustness(
    samples: Sequence[Sample],
    attributor: Attributor,
    *,
    preprocessing: Preprocessing,
    per_generator: int,
    report: Report,
) -> dict[str, Any] | None:
    """Macro AUC and top-1 untouched and under every condition, on `per_generator` images of each known generator.

    Images are taken in the order of their files' prompts. None when fewer than two known generators occur.
    """
    chosen = _chosen(samples, classes=attributor.classes, per_generator=per_generator)
    labels = np.array([attributor.classes.index(sample.generator) for sample in chosen], dtype=np.int64)
    if len(np.unique(labels)) < 2:
        return None
    probabilities = _probabilities(chosen, attributor, preprocessing=preprocessing, report=report)
    counts = draw_counts(labels)
    plain = {name: figure(probabilities[0], labels, counts) for name, figure in FIGURES.items()}
    curves: dict[str, Any] = {name: {"unit": attack.unit, "points": []} for name, attack in ATTACKS.items()}
    for condition, rows in zip(CONDITIONS, probabilities[1:], strict=True):
        point: dict[str, Any] = {"level": condition.level}
        for name, figure in FIGURES.items():
            values = figure(rows, labels, counts)
            point[name] = asdict(interval(values))
            point[f"{name}_lost"] = asdict(interval(plain[name] - values))
        curves[condition.operator]["points"].append(point)
    untouched = {name: asdict(interval(values)) for name, values in plain.items()}
    return {"images": len(chosen), "per_generator": per_generator, "untouched": untouched, "curves": curves}


def _chosen(samples: Sequence[Sample], *, classes: Sequence[str], per_generator: int) -> list[Sample]:
    chosen = []
    for name in classes:
        own = sorted((s for s in samples if s.generator == name), key=lambda s: (s.prompt, s.file))
        chosen += own[:per_generator]
    return chosen


def _probabilities(
    samples: Sequence[Sample], attributor: Attributor, *, preprocessing: Preprocessing, report: Report
) -> Floats:
    """Untouched first, then every condition: (1 + conditions, N, K). Each file is decoded once."""
    columns = []
    for index, sample in enumerate(samples):
        image = decode(sample.path.read_bytes())
        answers: list[list[float]] = []
        for start in range(0, 1 + len(CONDITIONS), IMAGES_AT_ONCE):
            conditions = (None, *CONDITIONS)[start : start + IMAGES_AT_ONCE]
            answers += _answers(image, conditions, attributor, preprocessing=preprocessing)
        columns.append(answers)
        report("post-processing", (index + 1) / len(samples), 0.0)
    return np.array(columns).transpose(1, 0, 2)


def _answers(
    image: DecodedImage,
    conditions: Sequence[Condition | None],
    attributor: Attributor,
    *,
    preprocessing: Preprocessing,
) -> list[list[float]]:
    def changed(condition: Condition | None) -> PreparedImage:
        if condition is None:
            return prepare(image, preprocessing)
        return prepare(_processed(image, condition), preprocessing)

    with ThreadPoolExecutor(2) as pool:
        prepared = list(pool.map(changed, conditions))
    embedded = attributor.inference.embed(prepared)
    probabilities: list[list[float]] = attributor.inference.probabilities(embedded).tolist()
    return probabilities


def _processed(image: DecodedImage, condition: Condition) -> DecodedImage:
    pixels = apply(image.pixels, condition.operator, level=condition.level)
    header = ImageHeader(format=image.header.format, width=pixels.shape[1], height=pixels.shape[0])
    return replace(image, pixels=pixels, header=header)
