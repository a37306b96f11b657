"""From pooled embeddings to attributions: one density, the head that goes with it, and the thresholds.

Embedding an image is the work; judging it is cheap and needs no pixels. So one worker can judge the images of one batch
by different densities, a tenant's own among them, and a stored embedding can be judged again by another version. Knows
nothing of images or networks before the head.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.encoder import Embedded
from leaktrace.science.explanation import Crops, Explanation, explain
from leaktrace.science.extended_head import ExtendedHead
from leaktrace.science.model_folder import Model
from leaktrace.science.prototypes import PrototypeHead
from leaktrace.science.stratified import UNKNOWN, given_or_unknown
from leaktrace.science.verdict import decide


@dataclass(frozen=True)
class Thresholds:
    """The false-alarm rate that "unseen" is said at, and the least probability of a named generator."""

    alpha: float
    min_probability: float


@dataclass(frozen=True)
class Attribution:
    """Everything that is said of one image. Probabilities add up to 1; p-values do not.

    `calibration` says what the p-values were measured against: the image's stratum, and for each class how many images
    of which group.
    """

    verdict: str
    generator: str | None
    p_value: float
    smallest_p: float
    alpha: float
    reason: str
    probabilities: dict[str, float]
    p_values: dict[str, float]
    calibration: dict[str, Any]
    embedding: NDArray[np.float32]  # (D,)
    gate: NDArray[np.float32]  # (D,)
    explanation: Explanation
    extended: bool

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON, without the embedding and the gate."""
        vectors = ("embedding", "gate", "explanation")
        fields = {key: value for key, value in vars(self).items() if key not in vectors}
        return fields | {"explanation": self.explanation.to_dict()}


class Judge:
    """One density version with its head. Raises ValueError when density and model do not belong together."""

    def __init__(
        self,
        model: Model,
        density: OpenSetDensity,
        *,
        model_version: str,
        version: str,
        thresholds: Thresholds,
    ) -> None:
        if density.model_version != model_version:
            raise ValueError(f"the density is for model {density.model_version!r}, this is {model_version!r}")
        enrolled = density.head_.names if density.head_ else ()
        if tuple(density.classes_) != tuple(sorted((*model.classes, *enrolled))):
            raise ValueError(f"the density knows {tuple(density.classes_)}, the model {model.classes}")
        self.density, self.version, self.thresholds = density, version, thresholds
        self.calibration = density.calibration_by_strata(thresholds.alpha)
        self.classes = tuple(str(name) for name in density.classes_)
        self.steps = model.schedule.steps
        self.head = model_head(model) if density.head_ is None else ExtendedHead(model.net.head, density)
        self.temperature = density.head_.temperature if density.head_ else model.temperature

    @torch.inference_mode()
    def probabilities(self, embedded: Embedded) -> NDArray[np.float64]:
        """Calibrated class probabilities (B, K)."""
        scores: Tensor = self.head(embedded.embedding.float(), embedded.gate.float())
        probabilities: NDArray[np.float64] = (scores.double() / self.temperature).softmax(dim=-1).numpy()
        return probabilities

    def p_values(self, embeddings: NDArray[np.float32], strata: NDArray[np.str_]) -> NDArray[np.float64]:
        """Conformal p-values (B, K) of embeddings (B, D) of images of these strata (B,)."""
        return self.calibration.p_values(self.density.novelty(embeddings), strata)

    def judge(
        self,
        embedded: Embedded,
        *,
        extended: Sequence[bool],
        strata: Sequence[str] | None = None,
        crops: Crops | None = None,
    ) -> list[Attribution]:
        """One attribution for each of B images, in the same order; `extended` is carried through.

        `strata` are those of the images; without them each class is measured by all its calibration images.

        `crops` only adds the parts of the picture to the explanations.
        """
        embeddings, gates = embedded.embedding.numpy(), embedded.gate.numpy()
        named = given_or_unknown(strata, count=len(embeddings))
        probabilities, p_values = self.probabilities(embedded), self.p_values(embeddings, named)
        smallest_p = self.calibration.smallest_p(named)
        explanations = explain(embedded, self.head, classes=self.classes, steps=self.steps, crops=crops)
        return [
            self._attribution(
                probabilities[row],
                p_values[row],
                smallest_p[row],
                calibration=self._measured_by(str(named[row])),
                embedding=embeddings[row],
                gate=gates[row],
                explanation=explanations[row],
                extended=extended[row],
            )
            for row in range(len(embeddings))
        ]

    def _attribution(
        self,
        probabilities: NDArray[np.float64],
        p_values: NDArray[np.float64],
        smallest_p: NDArray[np.float64],
        **carried: Any,
    ) -> Attribution:
        verdict = decide(
            probabilities,
            p_values,
            self.classes,
            smallest_p=smallest_p,
            alpha=self.thresholds.alpha,
            min_probability=self.thresholds.min_probability,
        )
        return Attribution(
            **asdict(verdict),
            smallest_p=float(smallest_p.max()),
            alpha=self.thresholds.alpha,
            probabilities=dict(zip(self.classes, probabilities.tolist(), strict=True)),
            p_values=dict(zip(self.classes, p_values.tolist(), strict=True)),
            **carried,
        )

    def _measured_by(self, stratum: str) -> dict[str, Any]:
        """What p-values of images of the stratum are measured against, for JSON."""
        groups = zip(self.classes, self.calibration.groups(stratum), strict=True)
        classes = {name: {"images": len(group.scores), "of": group.of} for name, group in groups}
        return {"stratum": None if stratum == UNKNOWN else stratum, "classes": classes}


def model_head(model: Model) -> PrototypeHead:
    """The trained head on the CPU."""
    return copy.deepcopy(model.net.head).cpu().float().requires_grad_(False)
