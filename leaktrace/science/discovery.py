"""Groups among images that no known generator made: whiten on the known, PCA, HDBSCAN, and only what is stable.

A group keeps only images nearer to its own centre than to a known generator's, and what is left is looked at again.
It counts by how well it comes back when a part of the images is left out, not by how it looks once, and it must be
about as compact as a known generator: images that have only their strangeness in common are no group. Knows nothing
of tenants, thumbnails or names.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import HDBSCAN  # type: ignore[attr-defined, unused-ignore]
from sklearn.decomposition import PCA

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.membership import distances_to_known, own_members

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NOISE = -1
MEDOIDS = 9


@dataclass(frozen=True)
class DiscoveryRules:
    """What a group must be to be shown; `kept_share` of the images is drawn without replacement each time.

    `min_membership` is the least HDBSCAN membership of a member, and `max_spread` the largest deviation of a group in
    units of the known generators' own. `min_gap` is how far a group must be from known generators, in the terms of
    `membership.own_members`. What no group kept is clustered again, `rounds` times in all.
    """

    min_group: int = 15
    components: int = 16
    variance: float = 0.95
    resamplings: int = 12
    kept_share: float = 0.8
    min_stability: float = 0.6
    min_membership: float = 0.35
    max_spread: float = 5.0
    min_gap: float = 2.0
    rounds: int = 4


@dataclass(frozen=True)
class Group:
    """A stable group: rows of its `members` (the most typical `medoids` first) and how sure it is.

    `stability` is the mean Jaccard overlap with its best counterpart over the resamplings, `cohesion` the mean
    membership that HDBSCAN gives; `novelty` is the members' median -log density under the nearest known generator.
    """

    members: tuple[int, ...]
    medoids: tuple[int, ...]
    stability: float
    cohesion: float
    nearest: str
    novelty: float


def discover(
    embeddings: ArrayLike, density: OpenSetDensity, *, rules: DiscoveryRules, random: np.random.Generator
) -> list[Group]:
    """The stable groups among embeddings (N, D) of images without a name, the largest first; none of too few.

    Source: Campello, Moulavi and Sander 2013 (HDBSCAN); Hennig 2007 (Jaccard stability over resamplings).
    """
    points = np.asarray(embeddings, dtype=np.float32)
    if len(points) < rules.min_group:
        return []
    whitened = density.scale(points)
    held = _Held(
        reduce_on_known(points, density, rules=rules), whitened, distances_to_known(whitened, density)
    )
    labels, memberships = _find_groups(held, rules=rules)
    novelty = density.novelty(points)
    found = [
        _group(held.reduced, np.flatnonzero(labels == label), stability, memberships, novelty, density)
        for label, stability in _stabilities(held, labels, rules=rules, random=random).items()
        if stability >= rules.min_stability
    ]
    groups = [group for group in found if _spread(whitened[list(group.members)]) <= rules.max_spread]
    return sorted(groups, key=lambda group: -len(group.members))


@dataclass(frozen=True)
class _Held:
    """Held images on the strongest directions (N, d'), in the known scales (N, d), and how far from the known (N,)."""

    reduced: Floats
    whitened: Floats
    to_known: Floats

    def at(self, rows: NDArray[np.intp]) -> "_Held":
        return _Held(self.reduced[rows], self.whitened[rows], self.to_known[rows])


def reduce_on_known(points: NDArray[np.float32], density: OpenSetDensity, *, rules: DiscoveryRules) -> Floats:
    """Embeddings (N, D) in the units of the known generators, on their own strongest directions (N, d)."""
    return _strongest(density.scale(points), rules=rules)


def _strongest(whitened: Floats, *, rules: DiscoveryRules) -> Floats:
    most = min(rules.components, *whitened.shape)
    scores = PCA(most, svd_solver="full").fit(whitened)
    needed = int(np.searchsorted(np.cumsum(scores.explained_variance_ratio_), rules.variance)) + 1
    reduced: Floats = scores.transform(whitened)[:, : min(most, needed)]
    return reduced


def _find_groups(held: _Held, *, rules: DiscoveryRules) -> tuple[Labels, Floats]:
    """Labels (N,), -1 for none, and memberships (N,): rough groups, of each its own members, and again of the rest.

    A rough group may be several generators and the false alarms between them; it shrinks to one of them, and the others
    are found when that one is gone.
    """
    labels = np.full(len(held.reduced), NOISE, dtype=np.int64)
    memberships = np.zeros(len(labels))
    for _ in range(rules.rounds):
        left, before = np.flatnonzero(labels == NOISE), int(labels.max(initial=NOISE))
        if len(left) < rules.min_group:
            break
        rough, memberships[left] = _cluster(held.reduced[left], rules=rules)
        for label in np.unique(rough[rough != NOISE]):
            rows = own_members(
                held.whitened, held.to_known, left[rough == label], least=rules.min_group, gap=rules.min_gap
            )
            for part in _parted(held.whitened[rows], rules=rules):
                labels[rows[part]] = labels.max() + 1
        if labels.max() == before:
            break
    return labels, memberships


def _parted(whitened: Floats, *, rules: DiscoveryRules) -> list[NDArray[np.intp]]:
    """Rows of each of the generators that a group (N, d) turns out to be, seen on its own directions; all for one."""
    if not len(whitened):
        return []
    labels, _ = _cluster(_strongest(whitened, rules=rules), rules=rules)
    parts = [np.flatnonzero(labels == label) for label in np.unique(labels[labels != NOISE])]
    return parts if len(parts) > 1 else [np.arange(len(whitened))]


def _cluster(points: Floats, *, rules: DiscoveryRules) -> tuple[Labels, Floats]:
    """Labels (N,), -1 for none, and memberships (N,).

    HDBSCAN never takes all points for one group, and finds only its core where it is told that it may. A second group
    far away, which is dropped again, lets the points be one group, several or none on the same terms.
    """
    clusterer = HDBSCAN(
        min_cluster_size=rules.min_group, min_samples=max(2, rules.min_group // 3), copy=True
    ).fit(np.vstack([points, _far_group(points, count=rules.min_group)]))
    labels = clusterer.labels_[: len(points)].astype(np.int64)
    memberships: Floats = clusterer.probabilities_[: len(points)]
    labels[memberships < rules.min_membership] = NOISE
    return labels, memberships


def _far_group(points: Floats, *, count: int) -> Floats:
    reach = max(1.0, float(np.abs(points).max()))
    jitter = np.random.default_rng(0).normal(scale=1e-3 * reach, size=(count, points.shape[1]))
    far: Floats = points.mean(axis=0) + 20 * reach + jitter
    return far


def _stabilities(
    held: _Held, labels: Labels, *, rules: DiscoveryRules, random: np.random.Generator
) -> dict[int, float]:
    """Of each group, the mean over resamplings of its largest Jaccard overlap with a group found there."""
    groups = [int(label) for label in np.unique(labels) if label != NOISE]
    overlaps: dict[int, list[float]] = {label: [] for label in groups}
    kept = max(rules.min_group, round(rules.kept_share * len(labels)))
    for _ in range(rules.resamplings if groups else 0):
        rows = random.choice(len(labels), size=kept, replace=False)
        again, _memberships = _find_groups(held.at(rows), rules=rules)
        for label in groups:
            overlaps[label].append(_best_overlap(labels[rows] == label, again))
    return {label: float(np.mean(found)) for label, found in overlaps.items()}


def _best_overlap(members: NDArray[np.bool_], again: Labels) -> float:
    others = [again == label for label in np.unique(again) if label != NOISE]
    return max((float((members & other).sum() / (members | other).sum()) for other in others), default=0.0)


def _spread(whitened: Floats) -> float:
    """Root mean square deviation over members and dimensions; about 1 for a known generator."""
    return float(np.sqrt(whitened.var(axis=0).mean()))


def _group(
    points: Floats,
    members: NDArray[np.intp],
    stability: float,
    memberships: Floats,
    novelty: Floats,
    density: OpenSetDensity,
) -> Group:
    own = points[members]
    # The sum of distances to all others is least for the medoid; squared distances need no pairwise matrix.
    order = np.argsort(((own - own.mean(axis=0)) ** 2).sum(axis=1))
    typical = members[order]
    middle = np.median(novelty[members], axis=0)  # (K,)
    nearest = int(np.argmin(middle))
    return Group(
        members=tuple(typical.tolist()),
        medoids=tuple(typical[:MEDOIDS].tolist()),
        stability=stability,
        cohesion=float(memberships[members].mean()),
        nearest=str(density.classes_[nearest]),
        novelty=float(middle[nearest]),
    )
