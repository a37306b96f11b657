"""Strangers are other pictures than the images they come from, alike on every call, and practised on as one class."""

from pathlib import Path

import numpy as np
import pytest
import torch

from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.model_folder import Model
from leaktrace.science.training.crops import CropPlan
from leaktrace.science.training.optimise import TrainedNetworks, TrainRecipe
from leaktrace.science.training.practising import practise
from leaktrace.science.training.strangers import invented, make_strangers, periodic, rebuilt


def pictures(number: int, *, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """Smooth pictures with some grain."""
    random = np.random.default_rng(3)
    coarse = random.integers(30, 220, (number, height // 8, width // 8, 3)).repeat(8, 1).repeat(8, 2)
    return [np.clip(one + random.normal(0, 6, one.shape), 0, 255).astype(np.uint8) for one in coarse]


class Rounding:
    """An autoencoder whose latents are the image and whose decoder rounds it."""

    def encode(self, images: torch.Tensor) -> "Rounding":
        self.latents = images
        return self

    def decode(self, latents: torch.Tensor) -> "Rounding":
        self.sample = (latents * 4).round() / 4
        return self


def test_strangers_repeat_themselves() -> None:
    first, second = (make_strangers(pictures(4), number=8, seed=1) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert not np.array_equal(first[0], make_strangers(pictures(4), number=1, seed=2)[0])


@pytest.mark.parametrize("kind", [periodic, invented, rebuilt])
def test_detail_is_made_anew(kind: object) -> None:
    window = torch.from_numpy(pictures(1)[0].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    changed = kind(window, torch.Generator().manual_seed(0))  # type: ignore[operator]
    assert changed.shape == window.shape
    assert not torch.allclose(changed, window, atol=0.02)
    # The picture itself stays: blocks of 16 pixels keep their means.
    means = [torch.nn.functional.avg_pool2d(image, 16) for image in (window, changed)]
    assert torch.corrcoef(torch.stack([mean.flatten() for mean in means]))[0, 1] > 0.95


def test_autoencoder_adds_a_kind() -> None:
    images = pictures(1)
    with_trip = make_strangers(images, number=4, seed=0, autoencoder=Rounding())
    without = make_strangers(images, number=4, seed=0)
    assert np.array_equal(with_trip[2], without[2])
    assert not np.array_equal(with_trip[3], without[3])


def test_small_images_stay_small() -> None:
    stranger = make_strangers(pictures(1, height=72, width=96), number=1, seed=0)[0]
    assert stranger.shape == (72, 96, 3)


def test_practice_keeps_the_classes(small_model: Model, tmp_path: Path) -> None:
    networks = TrainedNetworks(small_model.latent_encoder, ProtoLeakNet(small_model.net.config))
    before = networks.net.head.prototypes.detach().clone()
    practised = practise(
        networks,
        pictures(6),
        [0, 1, 2] * 2,
        strangers=pictures(2),
        recipe=TrainRecipe(epochs=1, crops_per_image=2, batch=8, plan=CropPlan(side_px=64)),
        seed=0,
        checkpoint=tmp_path / "c.safetensors",
        report=lambda *_: None,
    )
    assert practised.net.config.classes == small_model.classes
    assert practised.net.head.prototypes.shape == before.shape
    assert not torch.equal(practised.net.head.prototypes, before)
