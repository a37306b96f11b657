"""Judges images again by another density, from what was stored of them: no image is read.

Knows nothing of what the judgements are for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from leaktrace.records.challengers import StoredImage
from leaktrace.science.stratified import UNKNOWN

if TYPE_CHECKING:
    from leaktrace.science.judging import Attribution, Judge


def rejudge(judge: "Judge", images: Sequence[StoredImage]) -> "list[Attribution]":
    """One attribution an image, in the same order."""
    import torch

    from leaktrace.science.encoder import Embedded

    if not images:
        return []
    embeddings = np.array([np.asarray(one.embedding, dtype=np.float32) for one in images])
    gates = np.array([np.asarray(one.gate, dtype=np.float32) for one in images])
    attention = [[float(step["attention"]) for step in one.explanation["steps"]] for one in images]
    embedded = Embedded(torch.from_numpy(embeddings), torch.from_numpy(gates), torch.tensor(attention))
    return judge.judge(
        embedded,
        extended=[one.extended for one in images],
        strata=[one.stratum or UNKNOWN for one in images],
    )
