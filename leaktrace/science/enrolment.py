"""A class more, without training: prototypes by k-means and linear discriminants, its own density and calibration.

The trained classes' densities are not touched, so their p-values stay as they are to the last bit; the class's score
gives way to known answers, and the temperature is redone. Examples are split into those that the class is made of and
those it is calibrated and judged on. Knows nothing of who gave the name.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from leaktrace.science.conformal import images_needed
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.density_file import CalibrationSet, DensityParts, EnrolledHead
from leaktrace.science.extended_head import ExtendedHead
from leaktrace.science.gates import GateRules, Sample, decisions
from leaktrace.science.judging import Judge
from leaktrace.science.model_folder import Model
from leaktrace.science.offsets import Calibrating, fit_offset, largest_offset, steep_slope
from leaktrace.science.stratified import given_or_unknown

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
    judge: Judge, model: Model, *, name: str, examples: SplitExamples, rules: GateRules, seed: int = 0
) -> OpenSetDensity:
    """The judge's density with one class more, and the head that goes with it.

    What the judge names its calibration images stays as far as the `rules` ask.

    Raises ValueError when the class exists, or when the density does not carry its calibration images.
    """
    base = judge.density
    if name in base.classes_:
        raise ValueError(f"{name!r} is already one of the {len(base.classes_)} classes")
    if base.calibration_ is None:
        raise ValueError("the density carries 0 calibration images: publish one that keeps them, then enrol")
    trained = model.net.head.prototypes
    prototypes = place_prototypes(
        examples.fit.embeddings, count=trained.shape[1], seed=seed, judged_dim=base.judged_dim
    )
    before = base.head_ or EnrolledHead(
        (), np.empty((0, *trained.shape[1:]), np.float32), (), (), model.temperature
    )
    head = EnrolledHead(
        (*before.names, name),
        np.concatenate([before.prototypes, prototypes[None]]),
        (*before.offsets, 0.0),
        (*before.slopes, 0.0),
        before.temperature,
    )
    parts = _with_class(base, base.calibration_, name=name, examples=examples, head=head)
    return OpenSetDensity.from_parts(replace(parts, head=_with_score(parts, model, judge, rules=rules)))


def place_prototypes(
    embeddings: NDArray[np.float32], *, count: int, seed: int, judged_dim: int | None = None
) -> NDArray[np.float32]:
    """`count` centres (count, D) of embeddings (N, D) by k-means on the first `judged_dim` numbers, 0 in the others."""
    judged = embeddings[:, :judged_dim].astype(np.float64)
    placed = np.zeros((count, embeddings.shape[1]), np.float32)
    placed[:, : judged.shape[1]] = KMeans(count, n_init=4, random_state=seed).fit(judged).cluster_centers_
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
    strata = given_or_unknown(held_out.strata, count=count)
    labels = _opened_up(calibration.labels, index, added=count)
    joined = CalibrationSet(
        np.concatenate([calibration.embeddings, held_out.embeddings]),
        np.concatenate([calibration.gates, held_out.gates]),
        labels,
        np.concatenate([calibration.strata, strata]),
    )
    return joined.in_order(np.argsort(labels, kind="stable"))


def _with_score(parts: DensityParts, model: Model, judge: Judge, *, rules: GateRules) -> EnrolledHead:
    """The head with the slope and offset of its newest class and the temperature that suit the calibration images best.

    Known images among them keep their answers as far as the gates ask: the offset gives way, and where that is not
    enough, the temperature stays the one before.
    """
    head = parts.head
    if head is None:
        raise ValueError("a score needs a head; 0 classes were enrolled")
    images = _calibrating(parts, model, judge)
    slope = steep_slope(images, temperature=head.temperature)
    images = images.weighed(slope)
    offset, temperature = fit_offset(images)
    least = judge.thresholds.min_probability
    most = largest_offset(images, temperature=temperature, min_probability=least, rules=rules)
    if not np.isfinite(most):
        temperature = head.temperature
        most = largest_offset(images, temperature=temperature, min_probability=least, rules=rules)
    return replace(
        head,
        offsets=(*head.offsets[:-1], min(offset, most)),
        slopes=(*head.slopes[:-1], slope),
        temperature=temperature,
    )


def _calibrating(parts: DensityParts, model: Model, judge: Judge) -> Calibrating:
    """The calibration images with their scores, and what the judge named them without the newest class."""
    head, calibration = parts.head, parts.calibration
    if head is None or calibration is None:
        raise ValueError("a score needs a head and calibration images; 0 were given")
    extended = ExtendedHead(model.net.head, OpenSetDensity.from_parts(parts))
    with torch.inference_mode():
        scores = extended(torch.from_numpy(calibration.embeddings), torch.from_numpy(calibration.gates))
    evidence = extended.discriminants.evidence(calibration.embeddings.astype(np.float64))[:, -1]
    known = Sample(calibration.embeddings, calibration.gates, strata=calibration.strata)
    answers = decisions(judge, known)
    places = {name: place for place, name in enumerate(parts.classes)}
    named = np.array([places.get(str(answer), -1) for answer in answers], dtype=np.int64)
    index = places[head.names[-1]]
    named[calibration.labels == index] = -1
    return Calibrating(scores.double().numpy(), calibration.labels, named, evidence, index)


def _opened_up(labels: NDArray[np.int64], index: int, *, added: int) -> NDArray[np.int64]:
    return np.concatenate([labels + (labels >= index), np.full(added, index, dtype=np.int64)])


def _rows(examples: Examples, rows: NDArray[np.int64]) -> Examples:
    strata = None if examples.strata is None else examples.strata[rows]
    return Examples(examples.embeddings[rows], examples.gates[rows], strata)
