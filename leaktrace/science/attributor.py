"""The whole pass: prepared images in, attributions out, in the same order and whatever the batch.

Holds one model and one density; a density for another model version is refused. `self_test` reproduces the card's
golden answers before anything is trusted. Knows nothing of queues, databases or where images come from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.density import DensityUnusable, OpenSetDensity
from leaktrace.science.explanation import Explanation, explain
from leaktrace.science.golden import GOLDEN_IMAGES, golden_image
from leaktrace.science.images import DecodeLimits, decode
from leaktrace.science.inference import InferencePass, choose_device
from leaktrace.science.model_folder import (
    DENSITY,
    Model,
    ModelUnusable,
    check_files,
    noise_key_of,
    read_model,
    resolve_folder,
    version_of,
)
from leaktrace.science.preprocessing import PreparedImage, prepare
from leaktrace.science.verdict import decide

DENSITY_DIGITS = 12

__all__ = ["Attribution", "Attributor", "ModelUnusable"]


@dataclass(frozen=True)
class Attribution:
    """Everything that is said of one image. Probabilities add up to 1; p-values do not."""

    verdict: str
    generator: str | None
    p_value: float
    smallest_p: float
    alpha: float
    reason: str
    probabilities: dict[str, float]
    p_values: dict[str, float]
    embedding: NDArray[np.float32]  # (D,)
    explanation: Explanation
    extended: bool

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON, without the embedding."""
        fields = {key: value for key, value in vars(self).items() if key not in ("embedding", "explanation")}
        return fields | {"explanation": self.explanation.to_dict()}


class Attributor:
    """A model, its density and its thresholds, ready on one device. Not for use by two threads at a time."""

    def __init__(
        self,
        model: Model,
        card: dict[str, Any],
        *,
        density: OpenSetDensity,
        density_version: str,
        device: str,
    ) -> None:
        self.model, self.card = model, card
        self.version = version_of(card)
        self.classes = model.classes
        self.embedding_dim = model.net.config.encoder.embedding_dim
        self.alpha = float(card["verdict"]["alpha"])
        self.min_probability = float(card["verdict"]["min_probability"])
        self.inference = InferencePass(model, noise_key=noise_key_of(card), device=choose_device(device))
        self.use_density(density, version=density_version)

    @classmethod
    def load(cls, model: str | Path = "starter", *, device: str = "auto") -> "Attributor":
        """Open a model folder, or a shipped model by name. Raises ModelUnusable when any check fails."""
        folder = resolve_folder(model)
        loaded, card = read_model(folder)
        try:
            check_files(folder, {DENSITY: card["density"]["sha256"]})
            density = OpenSetDensity.from_bytes((folder / DENSITY).read_bytes())
            version = f"{card['name']}-density-{card['density']['sha256'][:DENSITY_DIGITS]}"
            return cls(loaded, card, density=density, density_version=version, device=device)
        except (KeyError, TypeError, ValueError, DensityUnusable) as error:
            raise ModelUnusable(folder, f"card and density do not fit together ({error})") from error

    @property
    def density(self) -> OpenSetDensity:
        """The density that p-values come from."""
        return self._density

    @property
    def density_version(self) -> str:
        """The name under which that density was published."""
        return self._density_version

    def use_density(self, density: OpenSetDensity, *, version: str) -> None:
        """Swap the density whole. Raises ValueError when it was fitted for another model or other classes."""
        if density.model_version != self.version:
            raise ValueError(f"the density is for model {density.model_version!r}, this is {self.version!r}")
        if tuple(density.classes_) != self.classes:
            raise ValueError(f"the density knows {tuple(density.classes_)}, the model {self.classes}")
        self._density, self._density_version = density, version

    def prepare(self, data: bytes, *, limits: DecodeLimits | None = None) -> PreparedImage:
        """Decode a file and cut its crops; thread-safe, on the CPU. Raises ImageRefused."""
        return prepare(decode(data, limits=limits or DecodeLimits()), self.model.preprocessing)

    def attribute(self, images: Sequence[PreparedImage]) -> list[Attribution]:
        """One attribution an image, in the same order. torch.cuda.OutOfMemoryError passes through."""
        if not images:
            return []
        embedded = self.inference.embed(images)
        embeddings = embedded.embedding.numpy()
        probabilities = self.inference.probabilities(embedded).numpy()
        p_values = self._density.p_values(embeddings)
        explanations = explain(
            embedded, self.inference.net.head, classes=self.classes, steps=self.model.schedule.steps
        )
        rows = zip(images, embeddings, probabilities, p_values, explanations, strict=True)
        return [self._attribution(*row) for row in rows]

    def self_test(self) -> None:
        """Raise ModelUnusable unless the golden images get the golden answers within the card's tolerance."""
        golden = self.card["golden"]
        answers = golden_answers(self.inference)
        for name, tolerance in golden["tolerance"].items():
            difference = float(np.abs(np.array(answers[name]) - np.array(golden[name])).max())
            if not difference <= tolerance:
                raise ModelUnusable(
                    self.version, f"golden {name} differs by {difference:.2g}, more than {tolerance:.2g}"
                )

    def _attribution(
        self,
        image: PreparedImage,
        embedding: NDArray[np.float32],
        probabilities: NDArray[np.float64],
        p_values: NDArray[np.float64],
        explanation: Explanation,
    ) -> Attribution:
        verdict = decide(
            probabilities,
            p_values,
            self.classes,
            smallest_p=self._density.smallest_p_,
            alpha=self.alpha,
            min_probability=self.min_probability,
        )
        return Attribution(
            **asdict(verdict),
            smallest_p=float(self._density.smallest_p_.max()),
            alpha=self.alpha,
            probabilities=dict(zip(self.classes, probabilities.tolist(), strict=True)),
            p_values=dict(zip(self.classes, p_values.tolist(), strict=True)),
            embedding=embedding,
            explanation=explanation,
            extended=image.extended,
        )


def golden_answers(inference: InferencePass) -> dict[str, Any]:
    """Embeddings and calibrated probabilities of the golden images, as lists for the card."""
    images = [golden_image(index, inference.model.preprocessing) for index in range(GOLDEN_IMAGES)]
    embedded = inference.embed(images)
    return {
        "embeddings": embedded.embedding.tolist(),
        "probabilities": inference.probabilities(embedded).tolist(),
    }
