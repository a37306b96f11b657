"""The known density anew, with confirmed images beside those that the model was trained with.

Confirmed images join the known ones only, in the scales and bandwidths that these were given. The calibration images
stay those that were set aside when the model was made: what people confirm is no random sample of what is submitted,
and a calibration on it would bend the false-alarm rate. How many join at once is found by a search over smaller and
smaller steps. Knows nothing of who confirmed what.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.gates import Gate

HALVINGS = 4

Made = TypeVar("Made")


@dataclass(frozen=True)
class Step(Generic[Made]):
    """One step that was tried: what was made of it, and the gates between it and the champion."""

    made: Made
    gates: Sequence[Gate]

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that it did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)


def step_sizes(used: int, *, confirmed: int, most: int) -> list[int]:
    """How many confirmed images, the oldest first, the candidates of one refit hold: the largest step first.

    The champion holds `used` of them already. A step adds at most `most` to those, then half, and half again.
    """
    largest = min(confirmed - used, most)
    if largest <= 0:  # nothing waits, or some were taken back: the one candidate is what stands
        return [confirmed]
    return [used + (largest >> halving) for halving in range(HALVINGS + 1) if largest >> halving]


def try_steps(
    candidates: Iterable[Made], measure: Callable[[Made], Sequence[Gate]]
) -> tuple[Step[Made], list[Step[Made]]]:
    """The first candidate that passes all gates, or the very first when none does; and all that were tried.

    Source: backtracking line search, Armijo 1966, with the gates in place of a sufficient decrease.
    """
    tried: list[Step[Made]] = []
    for candidate in candidates:
        tried.append(Step(candidate, measure(candidate)))
        if not tried[-1].failed:
            return tried[-1], tried
    if not tried:
        raise ValueError("0 steps were given to try")
    return tried[0], tried


def refit_known(
    foundation: OpenSetDensity, embeddings: NDArray[np.float32], names: NDArray[np.str_]
) -> OpenSetDensity:
    """The foundation with embeddings (N, D) of the generators `names` (N,) among the known ones, calibrated again.

    Embeddings that the foundation holds already, as known or for calibration, are left out.

    Raises ValueError when the foundation does not carry its calibration images, or does not know a name.
    """
    calibration = foundation.calibration_
    if calibration is None:
        raise ValueError("the model's own density carries 0 calibration images, so it cannot be fitted again")
    classes = np.asarray(foundation.classes_, dtype=np.str_)
    unknown = sorted(set(names.tolist()) - set(classes.tolist()))
    if unknown:
        raise ValueError(f"{len(unknown)} of the names are not among the {len(classes)} classes: {unknown}")
    held = {row.tobytes() for row in (*foundation.embeddings_, *calibration.embeddings)}
    fresh = [row for row, embedding in enumerate(embeddings) if embedding.tobytes() not in held]
    parts = foundation.parts()
    joined = tuple(range(len(parts.embeddings), len(parts.embeddings) + len(fresh)))
    extended = replace(
        parts,
        embeddings=np.concatenate([parts.embeddings, embeddings[fresh]]),
        labels=np.concatenate([parts.labels, np.searchsorted(classes, names[fresh])]),
        joined=(*parts.joined, *joined),
        facts=None,
    )
    order, scores = OpenSetDensity.from_parts(extended).rank(calibration.embeddings, calibration.labels)
    return OpenSetDensity.from_parts(
        replace(extended, calibration_scores=tuple(scores), calibration=calibration.in_order(order))
    )
