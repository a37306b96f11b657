"""Training learns, moves every part, looks at nothing but its images, and resumes where it stopped."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from leaktrace.science.distilled import PictureConfig, build_latent_encoder
from leaktrace.science.encoder import Embedded
from leaktrace.science.model_folder import Model
from leaktrace.science.training.crops import CropPlan
from leaktrace.science.training.optimise import (
    TrainedNetworks,
    TrainRecipe,
    _decay_groups,
    _loss,
    _Pace,
    optimise,
)

RECIPE = TrainRecipe(epochs=4, crops_per_image=2, batch=6, plan=CropPlan(side_px=32), learning_rate=5e-3)
LABELS = [0, 1, 2] * 4


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Noise of three strengths, which high-pass residuals tell apart at once."""
    random = np.random.default_rng(0)
    strengths = [(10, 60, 120)[label] for label in LABELS]
    return [(128 + random.integers(-s, s, (64, 64, 3))).astype(np.uint8) for s in strengths]


@pytest.fixture
def networks(small_model: Model) -> TrainedNetworks:
    return TrainedNetworks(small_model.latent_encoder, small_model.net)


def run(
    networks: TrainedNetworks,
    images: list[np.ndarray],
    checkpoint: Path,
    *,
    epochs: int,
    stop: int | None = None,
) -> tuple[TrainedNetworks, list[float]]:
    losses: list[float] = []

    def report(_stage: str, _share: float, loss: float) -> None:
        losses.append(loss)
        if len(losses) == stop:
            raise KeyboardInterrupt

    recipe = replace(RECIPE, epochs=epochs)
    trained = optimise(
        networks, images, labels=LABELS, recipe=recipe, seed=0, checkpoint=checkpoint, report=report
    )
    return trained, losses


def test_training_lowers_the_loss(
    networks: TrainedNetworks, images: list[np.ndarray], tmp_path: Path
) -> None:
    _, losses = run(networks, images, tmp_path / "c.safetensors", epochs=8)
    assert losses[-1] < 0.7 * losses[0]


def test_optimiser_holds_every_part(networks: TrainedNetworks) -> None:
    held = {id(p) for group in _decay_groups(networks, 0.1) for p in group["params"]}
    for part in ("net.encoder.attention", "net.encoder.gate", "net.encoder.leak", "net.head"):
        assert all(id(p) in held for p in networks.get_submodule(part).parameters()), part


def test_training_moves_every_part(
    networks: TrainedNetworks, images: list[np.ndarray], tmp_path: Path
) -> None:
    before = copy.deepcopy(networks.state_dict())
    run(networks, images, tmp_path / "c.safetensors", epochs=1)
    for name in ("encoder.attention.query.weight", "encoder.gate.0.weight", "head.prototypes"):
        assert not torch.equal(before[f"net.{name}"], networks.state_dict()[f"net.{name}"]), name


def test_picture_stream_stays_distilled(
    networks: TrainedNetworks, images: list[np.ndarray], tmp_path: Path
) -> None:
    picture = networks.latent_encoder.picture
    assert picture is not None
    before = copy.deepcopy(picture.state_dict())
    run(networks, images, tmp_path / "c.safetensors", epochs=1)
    assert all(torch.equal(before[name], value) for name, value in picture.state_dict().items())


def test_resumed_training_ends_alike(small_model: Model, images: list[np.ndarray], tmp_path: Path) -> None:
    def fresh() -> TrainedNetworks:
        torch.manual_seed(5)
        encoder = build_latent_encoder(small_model.latents)
        return TrainedNetworks(encoder, copy.deepcopy(small_model.net))

    whole, _ = run(fresh(), images, tmp_path / "whole.safetensors", epochs=4)
    with pytest.raises(KeyboardInterrupt):
        run(fresh(), images, tmp_path / "parts.safetensors", epochs=4, stop=2)
    resumed, losses = run(fresh(), images, tmp_path / "parts.safetensors", epochs=4)
    assert len(losses) == 2
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


def test_other_recipe_starts_afresh(
    networks: TrainedNetworks, images: list[np.ndarray], tmp_path: Path
) -> None:
    run(networks, images, tmp_path / "c.safetensors", epochs=1)
    _, losses = run(networks, images, tmp_path / "c.safetensors", epochs=2)
    assert len(losses) == 2


def test_rate_warms_up_and_falls() -> None:
    recipe = replace(RECIPE, epochs=4, warm_up=0.5, learning_rate=1.0)
    rates = [
        _Pace(recipe, steps=2, epoch=epoch).learning_rate(step) for epoch in range(4) for step in range(2)
    ]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.854, 0.5, 0.146], abs=1e-3)


def test_pooled_loss_sees_whole_images(networks: TrainedNetworks) -> None:
    """Crops that err to both sides cost single crops, not the image they make together."""
    head = networks.net.head
    crops = head.prototypes.detach()[:2].mean(1)  # (2, D), one near each of two classes
    gate, target = torch.ones_like(crops), torch.tensor([0])
    embedded = Embedded(crops, gate, torch.ones(2, 1))
    recipe = replace(RECIPE, plan=replace(RECIPE.plan, views=2), label_smoothing=0.0, pooled_weight=1.0)
    found = _loss(networks.net, head(crops, gate), embedded=embedded, targets=target, recipe=recipe)
    pooled = head(crops.mean(0, keepdim=True), gate[:1])
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(pooled, target))


def test_quick_picture_stream_agrees(small_model: Model) -> None:
    encoder = build_latent_encoder(replace(small_model.latents, picture=PictureConfig(width=16, blocks=1)))
    networks = TrainedNetworks(encoder, small_model.net).eval()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    plain = networks.latents(images)
    networks.quicken()
    torch.testing.assert_close(networks.latents(images), plain, atol=0.05, rtol=0.05)
    assert set(networks.state_dict()) == {f"latent_encoder.{k}" for k in encoder.state_dict()} | {
        f"net.{k}" for k in small_model.net.state_dict()
    }
