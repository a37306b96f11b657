"""Which calibration images p-values are measured against: those of the image's own stratum, where there are enough.

The calibration images of a class are divided into groups. A stratum with enough images is a group; all others together
are one more, and take in the smallest group while they are too few. An image belongs to the group of its stratum.
Falling back to the whole class would not do: a stratum that alarms more often there already spends the class's alpha,
and the groups beside it would spend theirs on top. Knows nothing of embeddings, or of what strata are.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaktrace.science.conformal import images_needed, p_values

Floats = NDArray[np.float64]
Strata = NDArray[np.str_]

# The stratum of an image of which it is not known.
UNKNOWN = ""
# A group must be able to give a p-value of alpha / 5. Its false-alarm rate then differs from alpha by the accident of
# which images calibrate by at most 45 % of alpha, in standard deviations (a Beta distribution; Vovk 2012, section 3).
_SHARE_OF_ALPHA = 5


def all_unknown(count: int) -> Strata:
    """The strata of so many images of which nothing is known."""
    return np.full(count, UNKNOWN, dtype=np.str_)


def given_or_unknown(strata: ArrayLike | None, *, count: int) -> Strata:
    """The strata that were given, or as many unknown ones."""
    return all_unknown(count) if strata is None else np.asarray(strata, dtype=np.str_)


def least_images(alpha: float) -> int:
    """Calibration images of a class in one stratum from which on they are a group: 99 at 0.05, 499 at 0.01."""
    return images_needed(alpha / _SHARE_OF_ALPHA)


@dataclass(frozen=True)
class Group:
    """Sorted scores of calibration images of one class: of one stratum, of all others, or of the whole class."""

    scores: Floats
    of: Literal["stratum", "others", "class"]

    @property
    def smallest_p(self) -> float:
        """Under this no p-value can fall: 1 / (n + 1)."""
        return 1 / (len(self.scores) + 1)


class StratifiedCalibration:
    """The groups of K classes, for one alpha; `strata` says whose each of the sorted `scores` is."""

    def __init__(self, scores: Sequence[Floats], strata: Sequence[Strata], *, alpha: float) -> None:
        least = least_images(alpha)
        self._classes = [_Groups(one, of, least=least) for one, of in zip(scores, strata, strict=True)]

    def groups(self, stratum: str) -> list[Group]:
        """What an image of the stratum is measured against, for each class (K)."""
        return [groups.of(stratum) for groups in self._classes]

    def p_values(self, novelty: Floats, strata: Strata) -> Floats:
        """Conformal p-values (B, K) of novelty (B, K) of images of these strata (B,).

        For an image of class c whose group is g, P(p_c <= alpha | g) <= alpha. Source: Mondrian conformal prediction
        with classes and groups as categories, Vovk, Gammerman and Shafer 2005, section 4.5.
        """
        if strata.shape != (len(novelty),):
            raise ValueError(f"{len(novelty)} images came with strata of shape {strata.shape}")
        found = np.empty_like(novelty)
        for stratum in np.unique(strata):
            rows = strata == stratum
            found[rows] = p_values(novelty[rows], [group.scores for group in self.groups(str(stratum))])
        return found

    def smallest_p(self, strata: Strata) -> Floats:
        """The smallest p-values (B, K) that images of these strata (B,) can get."""
        floors = {name: [group.smallest_p for group in self.groups(name)] for name in set(strata.tolist())}
        return np.array([floors[name] for name in strata.tolist()]).reshape(len(strata), len(self._classes))


class _Groups:
    """The groups of one class."""

    def __init__(self, scores: Floats, strata: Strata, *, least: int) -> None:
        alone = large_strata(strata, least=least)
        others = ~np.isin(strata, sorted(alone))
        self._whole = Group(scores, "class")
        self._alone = {name: Group(scores[strata == name], "stratum") for name in alone}
        self._others = Group(scores[others], "others") if alone and others.any() else self._whole

    def of(self, stratum: str) -> Group:
        if stratum == UNKNOWN:
            return self._whole
        return self._alone.get(stratum, self._others)


def large_strata(strata: Strata, *, least: int) -> set[str]:
    """The strata that are groups of their own; what they leave is nothing, or `least` images, or all."""
    sizes = Counter(strata.tolist())
    alone = sorted((size, name) for name, size in sizes.items() if name != UNKNOWN and size >= least)
    others = len(strata) - sum(size for size, _ in alone)
    while alone and 0 < others < least:
        others += alone.pop(0)[0]
    return {name for _, name in alone}
