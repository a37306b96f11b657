"""An attributor whose world is synthetic, and whose density, head, judge and verdicts are the real ones.

The red of a picture says which generator made it; its embedding is that generator's centre with noise from the
picture's content. So whole stories can be told in seconds, without weights.
"""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.encoder import Embedded, EncoderConfig
from leaktrace.science.images import DecodeLimits, Show, decode
from leaktrace.science.judging import Attribution, Judge, Thresholds
from leaktrace.science.model import ModelConfig, ProtoLeakNet
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare
from leaktrace.science.renoising import Schedule
from leaktrace.science.strata import stratum_of

CLASSES = ("alpha", "beta", "real")
GENERATORS = (*CLASSES, "gamma", "delta")  # the last two are unknown to the model
DIMENSIONS = 16
PROTOTYPES = 2
KNOWN, CALIBRATION = 60, 40
STEPS = (0, 100)
CENTRE, NOISE = 6.0, 0.5
RED_STEP = 40
ALPHA = 0.05


def picture_of(generator: str, seed: int, *, side: int = 128) -> bytes:
    """A PNG that the attributor takes for the generator's; another one for each seed."""
    random = np.random.default_rng([GENERATORS.index(generator), seed])
    red = random.normal(20 + RED_STEP * GENERATORS.index(generator), 4, (side, side))
    others = random.integers(0, 256, (side, side, 2))
    pixels = np.dstack([red.clip(0, 255), others]).astype(np.uint8)
    buffer = io.BytesIO()
    Picture.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def embeddings_of(generator: str, seed: int, *, count: int) -> NDArray[np.float32]:
    """Embeddings (count, D) of images of a generator."""
    centre = CENTRE * np.eye(DIMENSIONS)[GENERATORS.index(generator)]
    noise = np.random.default_rng([7, GENERATORS.index(generator), seed]).normal(size=(count, DIMENSIONS))
    return (centre + NOISE * noise).astype(np.float32)


def gates_like(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.full_like(embeddings, 0.5)


def make_model() -> Model:
    """Only the head and the schedule of it are ever used."""
    torch.manual_seed(0)
    encoder = EncoderConfig(channels=4, steps=STEPS, widths=(4, 4, 4), embedding_dim=DIMENSIONS)
    net = ProtoLeakNet(ModelConfig(encoder, CLASSES, prototypes=PROTOTYPES)).eval()
    centres = torch.eye(DIMENSIONS)[: len(CLASSES), None] * CENTRE
    net.head.prototypes.data = centres.repeat(1, PROTOTYPES, 1) + 0.05 * torch.randn(
        len(CLASSES), PROTOTYPES, DIMENSIONS
    )
    return Model(
        name="synthetic",
        preprocessing=Preprocessing(),
        schedule=Schedule(steps=STEPS),
        latents=cast(Any, None),
        latent_encoder=cast(Any, None),
        net=net,
        temperature=1.0,
    )


def make_density(version: str, *, seed: int = 0) -> OpenSetDensity:
    labels = np.repeat(CLASSES, KNOWN)
    calibrating = np.repeat(CLASSES, CALIBRATION)
    known = np.concatenate([embeddings_of(name, 2 * seed, count=KNOWN) for name in CLASSES])
    held = np.concatenate([embeddings_of(name, 2 * seed + 1, count=CALIBRATION) for name in CLASSES])
    return OpenSetDensity(model_version=version).fit(
        known,
        labels,
        calibration_embeddings=held,
        calibration_labels=calibrating,
        calibration_gates=gates_like(held),
    )


class SyntheticAttributor:
    """The interface of an Attributor."""

    classes = CLASSES
    embedding_dim = judged_dim = DIMENSIONS
    alpha = ALPHA

    def __init__(self, version: str = "synthetic-000000000000") -> None:
        self.version = version
        golden = embeddings_of("alpha", 99, count=2)
        self.card = {"format": 1, "name": "synthetic", "golden": {"embeddings": golden.tolist()}}
        self.model = make_model()
        self.inference = SimpleNamespace(device="cpu")
        self.use_density(make_density(version), version=f"{version}-density-1")

    @property
    def density(self) -> OpenSetDensity:
        return self._judge.density

    @property
    def density_version(self) -> str:
        return self._judge.version

    def make_judge(self, density: OpenSetDensity, *, version: str) -> Judge:
        return Judge(
            self.model,
            density,
            model_version=self.version,
            version=version,
            thresholds=Thresholds(alpha=ALPHA, min_probability=0.5),
        )

    def use_density(self, density: OpenSetDensity, *, version: str) -> None:
        self._judge = self.make_judge(density, version=version)

    def prepare(
        self, data: bytes, *, limits: DecodeLimits | None = None, show: Show | None = None
    ) -> PreparedImage:
        decoded = decode(data, limits=limits or DecodeLimits())
        if show is not None:
            show(decoded)
        return prepare(decoded, self.model.preprocessing)

    def attribute(
        self, images: Sequence[PreparedImage], *, judges: Sequence[Judge | None] | None = None
    ) -> list[Attribution]:
        chosen = judges or [None] * len(images)
        return [self._attribute(*pair) for pair in zip(images, chosen, strict=True)]

    def self_test(self) -> None:
        pass

    def _attribute(self, image: PreparedImage, judge: Judge | None) -> Attribution:
        generator = round((float(image.crops[:, 0].mean()) - 20) / RED_STEP)
        noise = np.random.default_rng(list(image.content_hash)).normal(size=DIMENSIONS)
        embedding = (CENTRE * np.eye(DIMENSIONS)[generator] + NOISE * noise).astype(np.float32)[None]
        attention = torch.full((1, len(STEPS)), 1 / len(STEPS))
        gate = torch.from_numpy(gates_like(embedding))
        embedded = Embedded(torch.from_numpy(embedding), gate, attention)
        strata = [stratum_of(image.header)]
        return (judge or self._judge).judge(embedded, extended=[image.extended], strata=strata)[0]
