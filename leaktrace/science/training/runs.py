"""Evaluation runs as they lie in JSON files: several models as one, read back, and compared image by image.

A comparison resamples the images that both runs judged, once for both, so that what is hard for both cancels out. A
run over several models (seeds) stands for their mean. Knows nothing of how an image is judged.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import bdtr

from leaktrace.errors import InvalidInput
from leaktrace.science.training.answers import Answers, Calibrated, Truths
from leaktrace.science.training.figures import closed_rows, figure_samples
from leaktrace.science.training.metrics import Floats
from leaktrace.science.training.resampling import Interval, draw_counts, interval, two_sided_p

Run = dict[str, Any]


class RunUnreadable(InvalidInput):
    """A file is not an evaluation that `leaktrace evaluate --json` wrote, or two of them cannot be compared."""

    code = "run_unreadable"


@dataclass(frozen=True)
class Compared:
    """One figure of two runs on the same images; `difference` is first minus second."""

    figure: str
    first: float
    second: float
    difference: Interval
    p: float


def joined(runs: Sequence[Run]) -> Run:
    """One run of one model as it is; several as {"models", "over_models"} with mean, spread and interval."""
    if len(runs) == 1:
        return runs[0]
    tiers = {name: tuple(members) for name, members in runs[0]["tiers"].items()}
    answers = [answers_of_run(run) for run in runs]
    counts = draw_counts(answers[0].truths.generators)
    samples = [figure_samples(one, counts, tiers=tiers) for one in answers]
    over = {" / ".join(path): _spread([found[path] for found in samples]) for path in _shared(samples)}
    return {
        "format": runs[0]["format"],
        "protocol": runs[0]["protocol"],
        "over_models": over,
        "models": list(runs),
    }


def read_run(path: Path) -> list[Run]:
    """The runs of all models in one file. Raises RunUnreadable."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = content.get("models") or [content]
        for run in runs:
            answers_of_run(run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunUnreadable(
            f"{path} is no evaluation written by `leaktrace evaluate --json` ({error!r})"
        ) from error
    return list(runs)


def answers_of_run(run: Run) -> Answers:
    """A run's records as arrays again."""
    records, classes = run["records"], tuple(run["classes"])
    calibrated = None
    if all("p_values" in record for record in records):
        p_values = np.array([[record["p_values"][c] for c in classes] for record in records])
        calibrated = Calibrated(p_values, np.full(len(classes), max(r["smallest_p"] for r in records)))
    return Answers(
        truths=Truths(
            files=tuple(record["file"] for record in records),
            generators=np.array([record["truth"] for record in records], dtype=np.str_),
            tiers=np.array([record["tier"] for record in records], dtype=np.str_),
            sides=np.array([[record["width"], record["height"]] for record in records], dtype=np.int64),
        ),
        classes=classes,
        probabilities=np.array([[record["probabilities"][c] for c in classes] for record in records]),
        novelty=np.array([record["novelty"] for record in records], dtype=np.float64),
        calibrated=calibrated,
    )


def compare(first: Sequence[Run], second: Sequence[Run]) -> dict[str, Any]:
    """All figures of two runs on the images both judged, with paired intervals, and McNemar's test for top-1.

    Raises RunUnreadable when they share no image or name an image's truth differently.
    """
    files = sorted(set.intersection(*({r["file"] for r in run["records"]} for run in [*first, *second])))
    if not files:
        raise RunUnreadable("the runs share no image: evaluate both on the same data")
    left, right = ([_on(run, files) for run in runs] for runs in (first, second))
    truths = left[0].truths.generators
    if any((one.truths.generators != truths).any() for one in [*left, *right]):
        raise RunUnreadable("the runs disagree about which generator made an image")
    tiers = {name: tuple(members) for name, members in first[0]["tiers"].items()}
    counts = draw_counts(truths)
    means = [_mean(answers, counts, tiers=tiers) for answers in (left, right)]
    figures = [_compared(path, means[0][path], means[1][path]) for path in _shared(means)]
    return {
        "first": [run["model"] for run in first],
        "second": [run["model"] for run in second],
        "protocols": sorted({run["protocol"] for run in [*first, *second]}),
        "images": len(files),
        "figures": [asdict(figure) for figure in figures],
        "mcnemar": mcnemar(left[0], right[0]),
    }


def mcnemar(first: Answers, second: Answers) -> dict[str, Any] | None:
    """Exact McNemar test of top-1 on the same images: only those that one model alone gets right count.

    Source: McNemar 1947; the exact version is a sign test, binomial with 1/2.
    """
    rows = closed_rows(first)
    if not len(rows) or first.classes != second.classes:
        return None
    right = [one.probabilities[rows].argmax(axis=1) == one.labels[rows] for one in (first, second)]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    discordant = only_first + only_second
    p = min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0
    return {"images": len(rows), "only_first_right": only_first, "only_second_right": only_second, "p": p}


def _on(run: Run, files: Sequence[str]) -> Answers:
    answers = answers_of_run(run)
    position = {file: row for row, file in enumerate(answers.truths.files)}
    return answers[np.array([position[file] for file in files], dtype=np.intp)]


def _mean(
    answers: Sequence[Answers], counts: Floats, *, tiers: Mapping[str, tuple[str, ...]]
) -> dict[tuple[str, ...], Floats]:
    samples = [figure_samples(one, counts, tiers=tiers) for one in answers]
    return {path: np.mean([found[path] for found in samples], axis=0) for path in _shared(samples)}


def _shared(samples: Sequence[Mapping[tuple[str, ...], Floats]]) -> list[tuple[str, ...]]:
    return [path for path in samples[0] if all(path in found for found in samples[1:])]


def _spread(values: Sequence[Floats]) -> dict[str, Any]:
    """Mean over models, its interval over images, and the standard deviation between models."""
    own = [float(one[0]) for one in values]
    mean = asdict(interval(np.mean(values, axis=0)))
    return {**mean, "spread": float(np.std(own, ddof=1)), "of_models": own}


def _compared(path: tuple[str, ...], first: Floats, second: Floats) -> Compared:
    difference = first - second
    return Compared(
        " / ".join(path), float(first[0]), float(second[0]), interval(difference), two_sided_p(difference)
    )
