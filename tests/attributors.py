"""A stand-in for the Attributor: the same interface, real decoding and a real density, but no network and no torch.

Its embedding is drawn from the image's content, so that the same image gets the same answer in any batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.images import DecodeLimits, Show, decode
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare

CLASSES = ("alpha", "beta", "real")
EMBEDDING_DIM = 8
KNOWN_PER_CLASS = 12
PREPROCESSING = Preprocessing()


@dataclass(frozen=True)
class FakeExplanation:
    steps: tuple[int, ...] = (0, 100)

    def to_dict(self) -> dict[str, Any]:
        return {"steps": [{"timestep": step, "attention": 0.5} for step in self.steps]}


@dataclass(frozen=True)
class FakeAttribution:
    verdict: str
    generator: str | None
    p_value: float
    smallest_p: float
    alpha: float
    reason: str
    probabilities: dict[str, float]
    p_values: dict[str, float]
    calibration: dict[str, Any]
    embedding: NDArray[np.float32]
    gate: NDArray[np.float32]
    explanation: FakeExplanation
    extended: bool


class FakeAttributor:
    version = "fake-000000000000"
    classes = CLASSES
    embedding_dim = judged_dim = EMBEDDING_DIM
    alpha = 0.05
    inference = SimpleNamespace(device="cpu")
    card = {"format": 1, "name": "fake"}  # noqa: RUF012 - an Attributor's card is an attribute too

    def __init__(self) -> None:
        self.density = self.fitted_density(seed=0)
        self.density_version = "fake-density-1"

    def fitted_density(self, *, seed: int) -> OpenSetDensity:
        draw = np.random.default_rng(seed)
        labels = np.repeat(CLASSES, KNOWN_PER_CLASS)
        known, calibration = draw.normal(size=(2, len(labels), EMBEDDING_DIM))
        return OpenSetDensity(model_version=self.version).fit(
            known, labels, calibration_embeddings=calibration, calibration_labels=labels
        )

    def use_density(self, density: OpenSetDensity, *, version: str) -> None:
        self.density, self.density_version = density, version

    def prepare(
        self, data: bytes, *, limits: DecodeLimits | None = None, show: Show | None = None
    ) -> PreparedImage:
        decoded = decode(data, limits=limits or DecodeLimits())
        if show is not None:
            show(decoded)
        return prepare(decoded, PREPROCESSING)

    def attribute(self, images: Sequence[PreparedImage]) -> list[FakeAttribution]:
        return [self._attribution(image) for image in images]

    def self_test(self) -> None:
        pass

    @cached_property
    def _smallest_p(self) -> float:
        return float(self.density.smallest_p_.max())

    def _attribution(self, image: PreparedImage) -> FakeAttribution:
        embedding = embedding_of(image.content_hash)
        p_values = self.density.p_values(embedding[None])[0].tolist()
        generator = CLASSES[image.content_hash[0] % len(CLASSES)]
        return FakeAttribution(
            verdict="generator",
            generator=generator,
            p_value=max(p_values),
            smallest_p=self._smallest_p,
            alpha=self.alpha,
            reason="drawn from the content",
            probabilities={name: float(name == generator) for name in CLASSES},
            p_values=dict(zip(CLASSES, p_values, strict=True)),
            calibration={"stratum": None, "classes": {}},
            embedding=embedding,
            gate=np.ones_like(embedding),
            explanation=FakeExplanation(),
            extended=image.extended,
        )


def embedding_of(content_hash: bytes) -> NDArray[np.float32]:
    draw = np.random.default_rng(list(content_hash))
    return draw.normal(size=EMBEDDING_DIM).astype(np.float32)
