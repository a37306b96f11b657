"""The temperature that makes class scores probabilities: one positive number, so the order of classes stays.

Guo et al. 2017. Knows nothing of where scores come from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

TEMPERATURE_BOUNDS = (-3.0, 3.0)  # of the natural logarithm


def fit_temperature(scores: Tensor, labels: Sequence[int]) -> float:
    """The one positive number that divides all scores (N, K) and makes their log-likelihood greatest."""
    target = torch.as_tensor(labels)

    def loss(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(scores.double() / np.exp(log_temperature), target))

    best: Any = minimize_scalar(loss, bounds=TEMPERATURE_BOUNDS, method="bounded")  # type: ignore[no-untyped-call]
    return float(np.exp(best.x))
