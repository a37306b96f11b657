"""All figures of one scorer's answers, with intervals, nested for JSON: closed set, size groups, open set, alarms.

Every figure is first computed for all resamples under its path, such as (open_set, tier far, auroc); intervals, the
spread over seeds and paired comparisons all start from those. Knows nothing of models or files.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.conformal import images_needed
from leaktrace.science.training.answers import Answers
from leaktrace.science.training.dataset import REAL
from leaktrace.science.training.metrics import (
    FIGURES,
    Floats,
    calibration_error_by_chance,
    class_aucs,
    confusion,
)
from leaktrace.science.training.open_set_metrics import OPEN_FIGURES, oscr
from leaktrace.science.training.resampling import draw_counts, interval

Rows = NDArray[np.intp]
Path = tuple[str, ...]

GROUPS_PX = (512, 1024)
ALPHAS = (0.05, 0.01)

# Unseen generators by how close they are to the starter model's classes, where the data itself names no tiers: the
# same autoencoder as a known generator; another diffusion model; no diffusion model at all.
KNOWN_TIERS: dict[str, tuple[str, ...]] = {
    "near": ("sd-1.4",),
    "medium": ("latent-diffusion", "glid-3-xl"),
    "far": ("stylegan2-faces",),
}


def figures_of(answers: Answers, *, tiers: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Every figure with its interval over images, as a nested dictionary of plain numbers."""
    counts = draw_counts(answers.truths.generators)
    samples = figure_samples(answers, counts, tiers=tiers)
    nested: dict[str, Any] = {"closed_set": None, "groups": {}, "open_set": None}
    for path, values in samples.items():
        _place(nested, path, asdict(interval(values)))
    _add_counts(nested, answers, tiers=tiers)
    nested["false_alarms"] = false_alarms(answers)
    return nested


def figure_samples(
    answers: Answers, counts: Floats, *, tiers: Mapping[str, tuple[str, ...]]
) -> dict[Path, Floats]:
    """Each figure's values (R,) over the rows of `counts` (R, N), under its path."""
    samples: dict[Path, Floats] = {}
    closed, shares = closed_rows(answers), answers.probabilities
    if len(closed):
        chosen = answers[closed]
        samples |= _closed(chosen.probabilities, chosen.labels, counts[:, closed], path=("closed_set",))
        aucs = class_aucs(shares[closed], chosen.labels, counts[:, closed])
        samples |= {("closed_set", "class_auc", answers.classes[c]): values for c, values in aucs.items()}
    for side in GROUPS_PX:
        rows = group_rows(answers, side)
        if len(rows):
            columns, positions = group_columns(answers, rows)
            within = shares[rows][:, columns]
            within = within / np.maximum(within.sum(axis=1, keepdims=True), 1e-300)
            samples |= _closed(within, positions, counts[:, rows], path=("groups", f"{side}px"))
    for name, rows in open_sets(answers, tiers=tiers).items():
        samples |= _open(answers[rows], counts[:, rows], path=("open_set", name))
    return samples


def closed_rows(answers: Answers) -> Rows:
    """Images of known generators; none when they come from fewer than two."""
    rows = np.flatnonzero(answers.known)
    return rows if len(set(answers.truths.generators[rows].tolist())) > 1 else rows[:0]


def group_rows(answers: Answers, side: int) -> Rows:
    """Square images of known generators with sides of `side` pixels; none when fewer than two generators have any.

    Photographs stay outside: they differ in content, and the groups ask whether generators differ in trace.
    """
    square = (answers.truths.sides == side).all(axis=1) & (answers.truths.generators != REAL)
    rows = np.flatnonzero(answers.known & square)
    return rows if len(set(answers.truths.generators[rows].tolist())) > 1 else rows[:0]


def group_columns(answers: Answers, rows: Rows) -> tuple[list[int], NDArray[np.int64]]:
    """The classes that occur among `rows`, and each row's position among them."""
    labels = answers.labels[rows]
    columns = np.unique(labels)
    return columns.tolist(), np.searchsorted(columns, labels)


def open_sets(answers: Answers, *, tiers: Mapping[str, tuple[str, ...]]) -> dict[str, Rows]:
    """All known images beside those of each unseen generator, of each tier, and of all of them."""
    known = answers.known
    if not known.any() or known.all():
        return {}
    generators = answers.truths.generators
    members = {str(name): generators == name for name in np.unique(generators[~known])}
    for tier in sorted({*tiers, *answers.truths.tiers.tolist()} - {""}):
        listed = np.isin(generators, tiers.get(tier, ())) | (answers.truths.tiers == tier)
        members[f"tier {tier}"] = listed & ~known
    members["all"] = ~known
    return {name: np.flatnonzero(known | rows) for name, rows in members.items() if rows.any()}


def false_alarms(answers: Answers) -> dict[str, Any] | None:
    """How often a known image's p-value for its own class is at most alpha, by class and alpha.

    An alpha that a class's calibration cannot reach is marked unattainable: its rate is 0 by construction there.
    """
    calibrated = answers.calibrated
    if calibrated is None:
        return None
    labels, own = answers.labels, {}
    for alpha in ALPHAS:
        by_class: dict[str, Any] = {}
        for index, name in enumerate(answers.classes):
            rows = labels == index
            if rows.any():
                by_class[name] = _alarm(
                    calibrated.p_values[rows, index], alpha, smallest=float(calibrated.smallest_p[index])
                )
        own[f"{alpha:g}"] = by_class
    return own


def _alarm(p_values: Floats, alpha: float, *, smallest: float) -> dict[str, Any]:
    needed = images_needed(alpha)
    calibration = round(1 / smallest) - 1
    return {
        "images": len(p_values),
        "rate": float((p_values <= alpha + 1e-12).mean()),
        "two_standard_errors": float(2 * np.sqrt(alpha * (1 - alpha) / len(p_values))),
        "calibration_images": calibration,
        "calibration_images_needed": needed,
        "attainable": calibration >= needed,
    }


def _closed(
    probabilities: Floats, labels: NDArray[np.int64], counts: Floats, *, path: Path
) -> dict[Path, Floats]:
    return {(*path, name): figure(probabilities, labels, counts) for name, figure in FIGURES.items()}


def _open(answers: Answers, counts: Floats, *, path: Path) -> dict[Path, Floats]:
    unseen = ~answers.known
    figures = {
        (*path, name): figure(answers.novelty, unseen, counts) for name, figure in OPEN_FIGURES.items()
    }
    right = answers.probabilities.argmax(axis=1) == answers.labels
    figures[*path, "oscr"] = oscr(answers.novelty, unseen, counts, right=right)
    if answers.calibrated is not None:
        best = answers.calibrated.p_values.max(axis=1)
        for alpha in ALPHAS:
            flagged = (best <= alpha + 1e-12) & unseen
            figures[*path, f"flagged_at_{alpha:g}"] = counts @ flagged / counts[:, unseen].sum(axis=1)
    return figures


def _place(nested: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        if nested.get(key) is None:
            nested[key] = {}
        nested = nested[key]
    nested[path[-1]] = value


def _add_counts(nested: dict[str, Any], answers: Answers, *, tiers: Mapping[str, tuple[str, ...]]) -> None:
    """How many images stand behind each figure, and the confusion of the closed set."""
    if nested["closed_set"] is not None:
        rows = closed_rows(answers)
        chosen = answers[rows]
        table = confusion(chosen.probabilities, chosen.labels).tolist()
        nested["closed_set"] |= {
            "images": len(rows),
            "ece_by_chance": asdict(interval(calibration_error_by_chance(chosen.probabilities))),
            "confusion": {"classes": list(answers.classes), "counts": table},
        }
    for name, group in nested["groups"].items():
        rows = group_rows(answers, int(name.removesuffix("px")))
        columns, _ = group_columns(answers, rows)
        group |= {"images": len(rows), "generators": [answers.classes[c] for c in columns]}
    for name, rows in open_sets(answers, tiers=tiers).items():
        nested["open_set"][name] |= {"images": int((~answers.known[rows]).sum())}
