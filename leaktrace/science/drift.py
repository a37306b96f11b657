"""Whether images still look as they did: four tests, each with a p-value, an effect, and a bound on the effect.

With thousands of images the least difference is significant, so an alarm needs both: a p-value that chance does not
explain, and an effect that matters. Knows nothing of tenants, times or databases.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, fisher_exact, ks_2samp  # type: ignore[attr-defined]

Floats = NDArray[np.float64]

PERMUTATIONS = 999
PERMUTED_AT_ONCE = 100
LEAST_IMAGES = 20


@dataclass(frozen=True)
class DriftRules:
    """An alarm: p under `significance`, and an effect over the bound of its kind."""

    significance: float = 0.01
    # Of the KS distance of live p-values; golden ones have no such bound, since nothing but drift moves them.
    least_distance: float = 0.1
    # Of a generator's share of the images.
    least_rate_change: float = 0.05
    # Of the energy coefficient, 0 to 1. On the starter's embeddings a shift of a quarter of a standard deviation in
    # every dimension gives 0.036, and 30 % images of a stranger 0.035; halves of the same images 0.002.
    least_shift: float = 0.03


@dataclass(frozen=True)
class Finding:
    """One test: `effect` against `bound`, how likely chance gives as much (`p_value`), and of how many images."""

    kind: str  # "golden", "live", "rate" or "embedding"
    subject: str  # the generator or verdict; empty where all images count
    effect: float
    bound: float
    p_value: float
    images: int
    compared_with: int
    alarm: bool
    reason: str


def uniformity(
    kind: str,
    novelty: Mapping[str, Floats],
    calibration: Mapping[str, Floats],
    *,
    rules: DriftRules,
    least: float,
) -> list[Finding]:
    """Whether p-values of each class are uniform: its images' novelty against that of its calibration images.

    The two-sample Kolmogorov-Smirnov test, since p-values from few calibration images are no sample of a uniform
    distribution: they share the accident of which images calibrate. Bonferroni over the classes with enough images.
    """
    tested = [
        name for name in sorted(novelty) if min(len(novelty[name]), len(calibration[name])) >= LEAST_IMAGES
    ]
    findings = []
    for name in tested:
        found = ks_2samp(novelty[name], calibration[name], method="auto")
        distance, p_value = float(found.statistic), min(1.0, float(found.pvalue) * len(tested))
        alarm = p_value < rules.significance and distance >= least
        less = "less" if np.median(novelty[name]) > np.median(calibration[name]) else "more"
        reason = (
            f"p-values of {len(novelty[name])} {kind} images of {name} are {'not ' if alarm else ''}uniform "
            f"(KS distance {distance:.2f}, p = {p_value:.2g})"
        )
        if alarm:
            reason += f": they are {less} typical than its {len(calibration[name])} calibration images"
        sizes = (len(novelty[name]), len(calibration[name]))
        findings.append(Finding(kind, name, distance, least, p_value, *sizes, alarm, reason))
    return findings


def rate_changes(
    recent: Mapping[str, int], trailing: Mapping[str, int], *, rules: DriftRules
) -> list[Finding]:
    """How the share of each answer changed; Fisher's exact test, Bonferroni over the answers, Wilson intervals."""
    images, before = sum(recent.values()), sum(trailing.values())
    if min(images, before) < LEAST_IMAGES:
        return []
    answers = sorted({*recent, *trailing})
    findings = []
    for answer in answers:
        now, then = recent.get(answer, 0), trailing.get(answer, 0)
        odds = fisher_exact([[now, images - now], [then, before - then]])
        p_value = min(1.0, float(odds.pvalue) * len(answers))
        change = now / images - then / before
        alarm = p_value < rules.significance and abs(change) >= rules.least_rate_change
        reason = f"{answer} went from {_share(then, before)} to {_share(now, images)} of the images"
        sizes = (images, before)
        effect = abs(change)
        findings.append(
            Finding("rate", answer, effect, rules.least_rate_change, p_value, *sizes, alarm, reason)
        )
    return findings


def embedding_shift(recent: Floats, trailing: Floats, *, rules: DriftRules, seed: int = 0) -> list[Finding]:
    """Whether embeddings (N, D) and (M, D), in units of the known ones, come from one distribution.

    Energy distance as the coefficient of inhomogeneity (0: the same), with a permutation p-value. One distance matrix,
    so the cost is (N + M) squared times D, and as much for each permutation. Source: Szekely and Rizzo 2013, section 5.
    """
    if min(len(recent), len(trailing)) < LEAST_IMAGES:
        return []
    pooled = np.concatenate([recent, trailing])
    distances: Floats = np.asarray(cdist(pooled, pooled), dtype=np.float64)
    belongs = np.arange(len(pooled)) < len(recent)
    observed, across = _energy(distances, belongs[None])[0], distances[belongs][:, ~belongs].mean()
    random = np.random.default_rng(seed)
    as_much = 0
    for start in range(0, PERMUTATIONS, PERMUTED_AT_ONCE):
        rows = min(PERMUTED_AT_ONCE, PERMUTATIONS - start)
        as_much += int(
            (_energy(distances, random.permuted(np.tile(belongs, (rows, 1)), axis=1)) >= observed).sum()
        )
    p_value = (1 + as_much) / (1 + PERMUTATIONS)
    shift = float(max(0.0, observed) / (2 * across)) if across > 0 else 0.0
    alarm = p_value < rules.significance and shift >= rules.least_shift
    reason = (
        f"embeddings of {len(recent)} recent images {'differ from' if alarm else 'are like'} those of "
        f"{len(trailing)} before (energy coefficient {shift:.3f}, p = {p_value:.2g})"
    )
    sizes = (len(recent), len(trailing))
    return [Finding("embedding", "", shift, rules.least_shift, p_value, *sizes, alarm, reason)]


def _energy(distances: Floats, belongs: NDArray[np.bool_]) -> Floats:
    """Energy distances (P,) of P divisions (P, N + M): 2 E|X - Y| - E|X - X'| - E|Y - Y'| as one quadratic form."""
    first = belongs.sum(axis=1, keepdims=True)
    weights = np.where(belongs, 1 / first, -1 / (belongs.shape[1] - first))
    energies: Floats = -np.einsum("pi,pi->p", weights @ distances, weights)
    return energies


def _share(count: int, images: int) -> str:
    interval = binomtest(count, images).proportion_ci(0.95, method="wilson")
    return f"{count / images:.1%} ({interval.low:.1%} to {interval.high:.1%})"
