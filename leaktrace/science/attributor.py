"""The whole pass: prepared images in, attributions out, in the same order and whatever the batch.

Holds one model and one density; a density for another model version is refused. `self_test` reproduces the card's
golden answers before anything is trusted. Knows nothing of queues, databases or where images come from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaktrace.science.density import DensityUnusable, OpenSetDensity
from leaktrace.science.encoder import Embedded
from leaktrace.science.explanation import Crops
from leaktrace.science.golden import GOLDEN_IMAGES, golden_image
from leaktrace.science.images import DecodeLimits, Show, decode
from leaktrace.science.inference import InferencePass, choose_device
from leaktrace.science.judging import Attribution, Judge, Thresholds
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
from leaktrace.science.strata import stratum_of

DENSITY_DIGITS = 12

__all__ = ["Attribution", "Attributor", "ModelUnusable"]


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
        self.embedding_dim = model.net.config.embedding_dim
        self.judged_dim = model.net.config.judged_dim
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
        return self._judge.density

    @property
    def density_version(self) -> str:
        """The name under which that density was published."""
        return self._judge.version

    def make_judge(self, density: OpenSetDensity, *, version: str) -> Judge:
        """A judge by another density, beside the one in use. Raises ValueError when it is for another model."""
        return Judge(
            self.model,
            density,
            model_version=self.version,
            version=version,
            thresholds=Thresholds(alpha=self.alpha, min_probability=self.min_probability),
        )

    def use_density(self, density: OpenSetDensity, *, version: str) -> None:
        """Swap the density whole. Raises ValueError when it was fitted for another model or other classes."""
        self._judge = self.make_judge(density, version=version)

    def prepare(
        self,
        data: bytes,
        *,
        limits: DecodeLimits | None = None,
        show: Show | None = None,
    ) -> PreparedImage:
        """Decode a file and cut its crops; thread-safe, on the CPU. Raises ImageRefused.

        `show` is given the decoded image, for whoever wants a picture of it; it must leave the pixels as they are.
        """
        decoded = decode(data, limits=limits or DecodeLimits())
        prepared = prepare(decoded, self.model.preprocessing)
        if show is not None:
            show(decoded)
        return prepared

    def attribute(
        self, images: Sequence[PreparedImage], *, judges: Sequence[Judge | None] | None = None
    ) -> list[Attribution]:
        """One attribution an image, in the same order. torch.cuda.OutOfMemoryError passes through.

        `judges` gives an image another judge than the density in use, where it is not None.
        """
        if not images:
            return []
        embedded, of_crops = self.inference.embed_with_crops(images)
        chosen = [judge or self._judge for judge in judges or [None] * len(images)]
        found: dict[int, Attribution] = {}
        for judge in dict.fromkeys(chosen):
            rows = [row for row, other in enumerate(chosen) if other is judge]
            judged = judge.judge(
                embedded[rows],
                extended=[images[row].extended for row in rows],
                strata=[stratum_of(images[row].header) for row in rows],
                crops=_crops_of(images, of_crops, rows),
            )
            found |= dict(zip(rows, judged, strict=True))
        return [found[row] for row in range(len(images))]

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


def _crops_of(
    images: Sequence[PreparedImage], of_crops: Sequence[Embedded], rows: Sequence[int]
) -> Crops | None:
    """The crops of the images in these rows; None when one of them does not know where its crops lie."""
    if any(len(images[row].boxes) != len(images[row].crops) for row in rows):
        return None
    return Crops([of_crops[row] for row in rows], [images[row].boxes for row in rows])


def golden_answers(inference: InferencePass) -> dict[str, Any]:
    """Embeddings and calibrated probabilities of the golden images, as lists for the card."""
    images = [golden_image(index, inference.model.preprocessing) for index in range(GOLDEN_IMAGES)]
    embedded = inference.embed(images)
    return {
        "embeddings": embedded.embedding.tolist(),
        "probabilities": inference.probabilities(embedded).tolist(),
    }
