"""Images through a model, by the one path that every image takes; labels meet the answers only afterwards.

Images are prepared ahead on two threads and dropped once they are judged, so memory stays flat however many there
are. Knows nothing of figures or splits.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaktrace.science.attributor import Attribution, Attributor
from leaktrace.science.images import ImageRefused, decode
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare
from leaktrace.science.training.answers import Answers, Calibrated, Truths
from leaktrace.science.training.dataset import Sample

IMAGES_AT_ONCE = 32
UNREADABLE = "unreadable"  # the code of a file that is listed and cannot be opened

Report = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Judged:
    """One image's answer beside its truth. `novelty` is the least novelty over the known generators."""

    sample: Sample
    known: bool
    width: int
    height: int
    attribution: Attribution
    novelty: float

    def record(self) -> dict[str, Any]:
        """One JSON record."""
        answer = self.attribution.to_dict()
        probabilities = self.attribution.probabilities
        return {
            "file": self.sample.file,
            "truth": self.sample.generator,
            "known": self.known,
            "tier": self.sample.tier,
            "width": self.width,
            "height": self.height,
            "predicted": max(probabilities, key=lambda name: probabilities[name]),
            "novelty": self.novelty,
            **{key: value for key, value in answer.items() if key != "explanation"},
            "attention": [step["attention"] for step in answer["explanation"]["steps"]],
        }


def judge(
    samples: Sequence[Sample], attributor: Attributor, *, preprocessing: Preprocessing, report: Report
) -> tuple[list[Judged], list[dict[str, str]]]:
    """Attribute all samples in order; a file that is refused is listed with its code instead."""
    judged: list[Judged] = []
    refused: list[dict[str, str]] = []
    for start in range(0, len(samples), IMAGES_AT_ONCE):
        chunk = samples[start : start + IMAGES_AT_ONCE]
        pairs, errors = prepared_samples(chunk, preprocessing)
        judged += _join(pairs, attributor)
        refused += errors
        report("attributing", (start + len(chunk)) / len(samples), 0.0)
    return judged, refused


def prepared_samples(
    samples: Sequence[Sample], preprocessing: Preprocessing
) -> tuple[list[tuple[Sample, PreparedImage]], list[dict[str, str]]]:
    """The samples that could be prepared with their crops, and the refusals of the others."""
    with ThreadPoolExecutor(2) as pool:
        prepared = list(pool.map(lambda sample: _prepared(sample, preprocessing), samples))
    found = list(zip(samples, prepared, strict=True))
    pairs = [(sample, image) for sample, image in found if isinstance(image, PreparedImage)]
    refused = [{"file": sample.file, "code": code} for sample, code in found if isinstance(code, str)]
    return pairs, refused


def answers_of(judged: Sequence[Judged], attributor: Attributor) -> Answers:
    """The same answers as arrays, in the order of the model's classes."""
    classes = attributor.classes
    found = [one.attribution for one in judged]
    return Answers(
        truths=Truths.of([one.sample for one in judged], [(one.width, one.height) for one in judged]),
        classes=classes,
        probabilities=np.array([[answer.probabilities[c] for c in classes] for answer in found]),
        novelty=np.array([one.novelty for one in judged]),
        calibrated=Calibrated(
            p_values=np.array([[answer.p_values[c] for c in classes] for answer in found]),
            smallest_p=np.asarray(attributor.density.smallest_p_, dtype=np.float64),
        ),
    )


def _prepared(sample: Sample, preprocessing: Preprocessing) -> PreparedImage | str:
    """The crops, or the code of what is wrong with the file."""
    try:
        return prepare(decode(sample.path.read_bytes()), preprocessing)
    except ImageRefused as error:
        return error.code
    except OSError:
        return UNREADABLE


def _join(pairs: Sequence[tuple[Sample, PreparedImage]], attributor: Attributor) -> list[Judged]:
    if not pairs:
        return []
    answers = attributor.attribute([image for _, image in pairs])
    novelty = attributor.density.novelty(np.stack([answer.embedding for answer in answers])).min(axis=1)
    return [
        Judged(
            sample=sample,
            known=sample.generator in attributor.classes,
            width=image.header.width,
            height=image.header.height,
            attribution=answer,
            novelty=float(least),
        )
        for (sample, image), answer, least in zip(pairs, answers, novelty, strict=True)
    ]
