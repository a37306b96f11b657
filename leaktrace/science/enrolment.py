"""A class more, without training: prototypes by k-means, its own density and calibration, the temperature redone.

The trained classes' densities are not touched, so their p-values stay as they are to the last bit. Examples are split
into those that the class is made of and those it is calibrated and judged on. Knows nothing of who gave the name.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.cluster import KMeans

from leaktrace.science.conformal import images_needed
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.density_file import CalibrationSet, DensityParts, EnrolledHead
from leaktrace.science.judging import extend_head
from leaktrace.science.model_folder import Model
from leaktrace.science.stratified import all_unknown

MIN_FIT = 30
MIN_HELD_OUT = 20
HELD_OUT_SHARE = 0.4


@dataclass(frozen=True)
class Examples:
    """Images of one generator: embeddings (N, D), gates (N, D), and strata (N,) where those are known."""

    embeddings: NDArray[np.float32]
    gates: NDArray[np.float32]
    strata: NDArray[np.str_] | None = None


@dataclass(frozen=True)
class SplitExamples:
    """Rows that the class is made of, and rows that it is calibrated and judged on."""

    fit: Examples
    held_out: Examples


def split(examples: Examples, *, alpha: float, seed: int = 0) -> SplitExamples:
    """Divide at random: at least 30 to fit and 20 to hold out, and as many held out as `alpha` needs.

    The same examples are divided in the same way, in whatever order they come.

    Raises ValueError naming both numbers when there are too few.
    """
    held_needed = max(MIN_HELD_OUT, images_needed(alpha))
    count = len(examples.embeddings)
    if count < MIN_FIT + held_needed:
        raise ValueError(
            f"{count} examples are too few: {MIN_FIT} are needed to fit and {held_needed} to calibrate at "
            f"alpha = {alpha:g}"
        )
    held = min(count - MIN_FIT, max(held_needed, round(HELD_OUT_SHARE * count)))
    order = np.lexsort(examples.embeddings.T)[np.random.default_rng(seed).permutation(count)]
    return SplitExamples(_rows(examples, order[held:]), _rows(examples, order[:held]))


def enrol(
    base: OpenSetDensity, model: Model, *, name: str, examples: SplitExamples, seed: int = 0
) -> OpenSetDensity:
    """The density with one class more, and the head that goes with it.

    Raises ValueError when the class exists, or when `base` does not carry its calibration images.
    """
    if name in base.classes_:
        raise ValueError(f"{name!r} is already one of the {len(base.classes_)} classes")
    if base.calibration_ is None:
        raise ValueError("the density carries 0 calibration images: publish one that keeps them, then enrol")
    trained = model.net.head.prototypes
    prototypes = place_prototypes(examples.fit.embeddings, count=trained.shape[1], seed=seed)
    before = base.head_ or EnrolledHead(
        (), np.empty((0, *trained.shape[1:]), np.float32), (), model.temperature
    )
    head = EnrolledHead(
        (*before.names, name),
        np.concatenate([before.prototypes, prototypes[None]]),
        (*before.offsets, 0.0),
        before.temperature,
    )
    parts = _with_class(base, base.calibration_, name=name, examples=examples, head=head)
    return OpenSetDensity.from_parts(replace(parts, head=_with_temperature(parts, model)))


def place_prototypes(embeddings: NDArray[np.float32], *, count: int, seed: int) -> NDArray[np.float32]:
    """`count` centres (count, D) of embeddings (N, D) by k-means."""
    centres = KMeans(count, n_init=4, random_state=seed).fit(embeddings.astype(np.float64)).cluster_centers_
    placed: NDArray[np.float32] = centres.astype(np.float32)
    return placed


def _with_class(
    base: OpenSetDensity,
    calibration: CalibrationSet,
    *,
    name: str,
    examples: SplitExamples,
    head: EnrolledHead,
) -> DensityParts:
    """The parts with one class more, everything in the order of names."""
    parts = base.parts()
    bandwidth, novelty = base.fit_class(
        examples.fit.embeddings, calibration_embeddings=examples.held_out.embeddings
    )
    order = np.argsort(novelty, kind="stable")
    index = int(np.searchsorted(np.array(parts.classes), name))
    return replace(
        parts,
        classes=(*parts.classes[:index], name, *parts.classes[index:]),
        embeddings=np.concatenate([parts.embeddings, examples.fit.embeddings]),
        labels=_opened_up(parts.labels, index, added=len(examples.fit.embeddings)),
        bandwidths=np.insert(parts.bandwidths, index, bandwidth),
        calibration_scores=(
            *parts.calibration_scores[:index],
            novelty[order],
            *parts.calibration_scores[index:],
        ),
        calibration=_calibrated_with(calibration, _rows(examples.held_out, order), index=index),
        head=head,
    )


def _calibrated_with(calibration: CalibrationSet, held_out: Examples, *, index: int) -> CalibrationSet:
    """The calibration images with those of a new class `index`, by class."""
    count = len(held_out.embeddings)
    strata = all_unknown(count) if held_out.strata is None else held_out.strata
    labels = _opened_up(calibration.labels, index, added=count)
    joined = CalibrationSet(
        np.concatenate([calibration.embeddings, held_out.embeddings]),
        np.concatenate([calibration.gates, held_out.gates]),
        labels,
        np.concatenate([calibration.strata, strata]),
    )
    return joined.in_order(np.argsort(labels, kind="stable"))


def _with_temperature(parts: DensityParts, model: Model) -> EnrolledHead:
    """The head with the offset of its newest class and the temperature that suit the calibration images best."""
    head, calibration = parts.head, parts.calibration
    if head is None or calibration is None:
        raise ValueError("a temperature needs a head and calibration images; 0 were given")
    extended = extend_head(model.net.head, classes=model.classes, enrolled=head)
    with torch.inference_mode():
        scores = extended(torch.from_numpy(calibration.embeddings), torch.from_numpy(calibration.gates))
    index = parts.classes.index(head.names[-1])
    offset, temperature = _fit_offset(scores.double().numpy(), calibration.labels, index=index)
    return replace(head, offsets=(*head.offsets[:-1], offset), temperature=temperature)


def _fit_offset(scores: NDArray[np.float64], labels: NDArray[np.int64], *, index: int) -> tuple[float, float]:
    """The offset of class `index` and the temperature that make the log-likelihood of scores (N, K) greatest.

    Each class counts alike, so that a class with few images is not sacrificed to the others.
    """
    others = (
        np.delete(scores, index, axis=1).max(axis=1) - scores[:, index]
    )  # (N,), the offset that makes a tie
    spread = float(np.ptp(others)) or 1.0
    weights = (1 / np.bincount(labels))[labels]

    def loss(point: NDArray[np.float64]) -> float:
        shifted = scores.copy()
        shifted[:, index] += point[0] * spread
        logits = shifted / np.exp(point[1])
        picked = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return float((weights * (logsumexp(logits, axis=1) - picked)).sum())

    middle = (np.median(others[labels == index]) + np.median(others[labels != index])) / 2 / spread
    start = np.array([middle, np.log(max(1e-2, float(scores.std())) / 4)])
    best: Any = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400})  # type: ignore[no-untyped-call]
    return float(best.x[0] * spread), float(np.exp(best.x[1]))


def _opened_up(labels: NDArray[np.int64], index: int, *, added: int) -> NDArray[np.int64]:
    return np.concatenate([labels + (labels >= index), np.full(added, index, dtype=np.int64)])


def _rows(examples: Examples, rows: NDArray[np.int64]) -> Examples:
    strata = None if examples.strata is None else examples.strata[rows]
    return Examples(examples.embeddings[rows], examples.gates[rows], strata)
