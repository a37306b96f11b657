"""The points behind a report's charts, from an evaluation run: ROC, DET, reliability, attention, the map.

Knows nothing of drawing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.training.answers import Answers
from leaktrace.science.training.metrics import BINS
from leaktrace.science.training.open_set_metrics import rates

Points = list[tuple[float, float]]
MOST_POINTS = 300


def class_curves(answers: Answers) -> dict[str, Points]:
    """ROC (false, true positive rate) of each known class against the other known images."""
    known = np.flatnonzero(answers.known)
    labels = answers.labels[known]
    return {
        name: _curve(answers.probabilities[known, index], labels == index)
        for index, name in enumerate(answers.classes)
        if 0 < int((labels == index).sum()) < len(labels)
    }


def unseen_curves(answers: Answers) -> dict[str, Points]:
    """ROC of novelty, all known images against each unseen generator."""
    generators, known = answers.truths.generators, answers.known
    names = np.unique(generators[~known]).tolist() if known.any() else []
    curves = {}
    for name in names:
        rows = np.flatnonzero(known | (generators == name))
        curves[str(name)] = _curve(answers.novelty[rows], ~known[rows])
    return curves


def reliability_bins(answers: Answers) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and images of each bin of confidence that holds any."""
    known = np.flatnonzero(answers.known)
    probabilities = answers.probabilities[known]
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == answers.labels[known]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (float(confidence[bins == b].mean()), float(right[bins == b].mean()), int((bins == b).sum()))
        for b in np.unique(bins)
    ]


def attention_rows(run: Mapping[str, Any]) -> dict[str, list[float]]:
    """Mean attention over the steps, by true generator."""
    gathered: dict[str, list[Sequence[float]]] = {}
    for record in run["records"]:
        gathered.setdefault(record["truth"], []).append(record["attention"])
    return {name: np.mean(rows, axis=0).tolist() for name, rows in sorted(gathered.items())}


def _curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Points:
    """The whole curve, thinned evenly where it has very many corners."""
    false_positive, true_positive = (side[0] for side in rates(scores, positive, np.ones((1, len(scores)))))
    chosen = np.unique(np.linspace(0, len(false_positive) - 1, MOST_POINTS).astype(int))
    return list(zip(false_positive[chosen].tolist(), true_positive[chosen].tolist(), strict=True))
