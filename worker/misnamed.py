"""Named answers that a new generator would take: which images they are, and what makes the gate leave them out.

Images of a new generator that were given a known name should change, but only a person can say that they are its own.
Knows nothing of how a generator is made.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from leaktrace.records.examples import ExampleRow
from leaktrace.records.quarantine import UNNAMED
from leaktrace.science.gates import Gate, Sample, decisions

if TYPE_CHECKING:
    from leaktrace.science.judging import Judge

SHOWN = 3


def tell_taken(
    gates: Sequence[Gate],
    live: Sequence[ExampleRow],
    sample: Sample,
    *,
    champion: "Judge",
    challenger: "Judge",
    names: Collection[str],
) -> list[Gate]:
    """The gates; where too many live answers change, with the images that get one of the new names, and what to do.

    `sample` are the embeddings of `live`, in its order.
    """
    if all(gate.passed for gate in gates if gate.name == "live_flips"):
        return list(gates)
    before, after = decisions(champion, sample), decisions(challenger, sample)
    rows = np.flatnonzero(~np.isin(before, UNNAMED) & (before != after) & np.isin(after, [*names]))
    taken = [str(live[row].image_id) for row in rows.tolist()]
    return [_with_advice(gate, taken, names=names) if gate.name == "live_flips" else gate for gate in gates]


def _with_advice(gate: Gate, taken: Sequence[str], *, names: Collection[str]) -> Gate:
    if not taken:
        return gate
    advice = (
        f"{len(taken)} of them to {' or '.join(names)}: {', '.join(taken[:SHOWN])}"
        f"{' and others' if len(taken) > SHOWN else ''}. If no known generator made these, say so of each "
        "(`leaktrace label IMAGE correct --reason ...`, or many at once under Review in the console) and ask again"
    )
    return replace(gate, detail=f"{gate.detail}, {advice}")
