"""`leaktrace evaluate`: what a model is worth on images it has never seen, closed set and open set.

Every image, known or unseen, goes through `Attributor.attribute` and nothing else; labels meet the answers only
afterwards. Images that made the model are recognised by their bytes and left out. A generator that the model does not
know is unseen ground truth. Knows nothing of terminals.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.errors import InvalidInput
from leaktrace.science.attributor import Attribution, Attributor
from leaktrace.science.images import ImageRefused, decode
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, Protocol, prepare
from leaktrace.science.training.dataset import Dataset, Sample, file_digest
from leaktrace.science.training.metrics import (
    FIGURES,
    auroc_with_interval,
    class_aucs,
    with_interval,
)

IMAGES_AT_ONCE = 32
DIGEST_DIGITS = 16
GROUPS_PX = (512, 1024)

Report = Callable[[str, float, float], None]


class NothingToEvaluate(InvalidInput):
    """No image is left once those that made the model, or that cannot be read, are taken out."""

    code = "nothing_to_evaluate"


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
            "width": self.width,
            "height": self.height,
            "predicted": max(probabilities, key=lambda name: probabilities[name]),
            "novelty": self.novelty,
            **{key: value for key, value in answer.items() if key != "explanation"},
            "attention": [step["attention"] for step in answer["explanation"]["steps"]],
        }


def evaluate(
    dataset: Dataset,
    attributor: Attributor,
    *,
    protocol: Protocol,
    tiers: Mapping[str, Sequence[str]],
    report: Report,
) -> dict[str, Any]:
    """Attribute all unseen images of `dataset` and return figures and records, ready for JSON.

    Raises NothingToEvaluate when no image is left.
    """
    preprocessing = replace(attributor.model.preprocessing, protocol=protocol)
    samples, used = _fresh(dataset, attributor)
    judged, refused = _judge(samples, attributor, preprocessing=preprocessing, report=report)
    if not judged:
        raise NothingToEvaluate(
            f"0 of {len(dataset.samples)} images can be evaluated ({used} made the model)"
        )
    return {
        "model": attributor.version,
        "density": attributor.density_version,
        "protocol": protocol,
        "manifest_sha256": dataset.digest,
        "images": len(judged),
        "left_out_because_they_made_the_model": used,
        "refused": refused,
        "closed_set": closed_set(judged, attributor.classes),
        "groups": {
            f"{side}px": group
            for side in GROUPS_PX
            if (group := size_group(judged, attributor.classes, side=side)) is not None
        },
        "open_set": open_set(judged, tiers),
        "false_alarms": false_alarms(judged, attributor.alpha),
        "records": [one.record() for one in judged],
    }


def closed_set(judged: Sequence[Judged], classes: Sequence[str]) -> dict[str, Any] | None:
    """Figures over the images of known generators; None when there are none, or only one generator's."""
    known = [one for one in judged if one.known]
    if len({one.sample.generator for one in known}) < 2:
        return None
    probabilities, labels = _arrays(known, classes)
    figures: dict[str, Any] = {
        name: asdict(with_interval(figure, probabilities, labels)) for name, figure in FIGURES.items()
    }
    aucs = class_aucs(probabilities, labels)
    return figures | {"images": len(known), "class_auc": {classes[c]: auc for c, auc in aucs.items()}}


def size_group(judged: Sequence[Judged], classes: Sequence[str], *, side: int) -> dict[str, Any] | None:
    """The closed set among square images of one size, with probabilities shared out over their generators alone."""
    group = [one for one in judged if one.known and one.width == one.height == side]
    inside = sorted({one.sample.generator for one in group})
    if len(inside) < 2:
        return None
    columns = [list(classes).index(name) for name in inside]
    probabilities, labels = _arrays(group, classes)
    shares = probabilities[:, columns]
    shares = shares / shares.sum(axis=1, keepdims=True)
    positions = np.searchsorted(columns, labels)
    figures = {name: asdict(with_interval(figure, shares, positions)) for name, figure in FIGURES.items()}
    return figures | {"images": len(group), "generators": inside}


def open_set(judged: Sequence[Judged], tiers: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """AUROC of novelty, known (`real` among them) against each unseen generator and each tier of them."""
    known = np.array([one.novelty for one in judged if one.known])
    unseen = sorted({one.sample.generator for one in judged if not one.known})
    if not len(known) or not unseen:
        return None
    sets = {name: [name] for name in unseen} | {f"tier {name}": list(names) for name, names in tiers.items()}
    sets["all"] = unseen
    figures = {}
    for name, members in sets.items():
        rows = [one for one in judged if not one.known and one.sample.generator in members]
        if rows:
            novelty = np.array([one.novelty for one in rows])
            verdicts = np.array([one.attribution.verdict == "unseen" for one in rows])
            figures[name] = asdict(auroc_with_interval(known, novelty)) | {
                "images": len(rows),
                "called_unseen": float(verdicts.mean()),
            }
    return figures


def false_alarms(judged: Sequence[Judged], alpha: float) -> dict[str, Any]:
    """How often a known image's p-value for its own class is at most alpha, and how often it is called unseen."""
    figures: dict[str, Any] = {"alpha": alpha}
    for name in sorted({one.sample.generator for one in judged if one.known}):
        rows = [one for one in judged if one.known and one.sample.generator == name]
        alarms = np.mean([one.attribution.p_values[name] <= alpha for one in rows])
        figures[name] = {
            "images": len(rows),
            "rate": float(alarms),
            "two_standard_errors": float(2 * np.sqrt(alpha * (1 - alpha) / len(rows))),
            "called_unseen": float(np.mean([one.attribution.verdict == "unseen" for one in rows])),
        }
    return figures


def _fresh(dataset: Dataset, attributor: Attributor) -> tuple[list[Sample], int]:
    """Test and open images of a manifest, all images of a folder; never one that made the model."""
    used = set(attributor.card.get("data", {}).get("used_files", ()))
    samples = list(dataset.samples)
    if dataset.declared:
        samples = [sample for sample in samples if sample.split in ("test", "open")]
    fresh = [sample for sample in samples if file_digest(sample)[:DIGEST_DIGITS] not in used]
    return fresh, len(samples) - len(fresh)


def _judge(
    samples: Sequence[Sample], attributor: Attributor, *, preprocessing: Preprocessing, report: Report
) -> tuple[list[Judged], list[dict[str, str]]]:
    judged: list[Judged] = []
    refused: list[dict[str, str]] = []
    for start in range(0, len(samples), IMAGES_AT_ONCE):
        chunk = samples[start : start + IMAGES_AT_ONCE]
        with ThreadPoolExecutor(2) as pool:
            prepared = list(pool.map(lambda sample: _prepared(sample, preprocessing), chunk))
        pairs = [
            (s, image) for s, image in zip(chunk, prepared, strict=True) if isinstance(image, PreparedImage)
        ]
        refused += [
            {"file": s.file, "code": error.code}
            for s, error in zip(chunk, prepared, strict=True)
            if isinstance(error, ImageRefused)
        ]
        judged += _join(pairs, attributor)
        report("attributing", (start + len(chunk)) / len(samples), 0.0)
    return judged, refused


def _prepared(sample: Sample, preprocessing: Preprocessing) -> PreparedImage | ImageRefused:
    try:
        return prepare(decode(sample.path.read_bytes()), preprocessing)
    except ImageRefused as error:
        return error


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


def _arrays(
    judged: Sequence[Judged], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    probabilities = np.array([[one.attribution.probabilities[c] for c in classes] for one in judged])
    labels = np.array([list(classes).index(one.sample.generator) for one in judged], dtype=np.int64)
    return probabilities, labels
