"""Coordinates tell textures apart that the features do not, and count for nothing where they say nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaktrace.science.encoder import Embedded
from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import cut_crops
from leaktrace.science.training import block_fitting
from leaktrace.science.training.block_fitting import BlockRecipe, mean_statistics, weigh_blocks, with_blocks
from leaktrace.science.training.crops import to_tensor

CLASSES = 3
FEATURES = 16

COORDINATES = slice(FEATURES, FEATURES + CLASSES - 1)


def textures(number: int, *, seed: int = 0) -> tuple[list[np.ndarray], list[int]]:
    """Noise that is smoothed a little more in each class."""
    random = np.random.default_rng(seed)
    images, labels = [], []
    for index in range(number):
        label = index % CLASSES
        noise = random.normal(0, 30, (96, 96, 3))
        smooth = noise + label * 0.4 * np.roll(noise, 1, axis=1)
        images.append(np.clip(128 + smooth * 30 / smooth.std(), 0, 255).astype(np.uint8))
        labels.append(label)
    return images, labels


@pytest.fixture
def fitted(small_model: Model) -> ProtoLeakNet:
    images, labels = textures(24)
    return with_blocks(
        small_model.net,
        images,
        labels,
        preprocessing=small_model.preprocessing,
        recipe=BlockRecipe(),
        seed=0,
        report=lambda *_: None,
    )


def coordinates_of(net: ProtoLeakNet, images: list[np.ndarray], model: Model) -> torch.Tensor:
    assert net.blocks is not None
    statistics = np.stack([mean_statistics(cut_crops(one, model.preprocessing)) for one in images])
    behind = (torch.from_numpy(statistics).float() - net.blocks.mean) @ net.blocks.projection
    return behind[:, : net.config.coordinates]


def test_new_images_lie_at_their_centres(fitted: ProtoLeakNet, small_model: Model) -> None:
    images, labels = textures(12, seed=1)
    centres = fitted.head.prototypes[:, 0, COORDINATES]  # (K, K - 1)
    nearest = torch.cdist(coordinates_of(fitted, images, small_model), centres).argmin(dim=1)
    assert nearest.tolist() == labels


def test_constant_statistics_say_nothing(small_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is constant but for rounding, and by that tells the classes apart, has no part in the coordinates."""
    images, labels = textures(24)
    calls = iter(np.repeat(labels, 3))  # as it is, off the grid, processed

    def leaking(crops: np.ndarray) -> np.ndarray:
        found = mean_statistics(crops)
        found[0] = 1 + 1e-7 * next(calls)
        return found

    monkeypatch.setattr(block_fitting, "mean_statistics", leaking)
    recipe, preprocessing = BlockRecipe(as_is=1), small_model.preprocessing
    net = with_blocks(
        small_model.net,
        images,
        labels,
        preprocessing=preprocessing,
        recipe=recipe,
        seed=0,
        report=lambda *_: None,
    )
    assert net.blocks is not None
    assert net.blocks.projection[0].abs().max() == 0 < net.blocks.projection[1].abs().max()


def test_features_keep_their_weights(fitted: ProtoLeakNet, small_model: Model) -> None:
    before, after = small_model.net.state_dict(), fitted.state_dict()
    assert torch.equal(after["head.prototypes"][..., :FEATURES], before["head.prototypes"])
    assert all(torch.equal(after[key], value) for key, value in before.items() if "prototypes" not in key)


def test_useless_coordinates_hardly_count(fitted: ProtoLeakNet) -> None:
    random = torch.Generator().manual_seed(0)
    labels = [index % CLASSES for index in range(60)]
    embedding = torch.randn((60, FEATURES + CLASSES - 1), generator=random)
    # The features say the class; the coordinates are those of another image.
    embedding[:, :FEATURES] = 0.3 * embedding[:, :FEATURES] + fitted.head.prototypes[labels, 0, :FEATURES]
    embedding[:, FEATURES:] = fitted.head.prototypes[labels[1:] + labels[:1], 0, COORDINATES]
    weighed = weigh_blocks(fitted, with_components(embedding, fitted), labels)
    assert lengths(weighed) < 0.1 * lengths(fitted)


def test_weight_leaves_coordinates_at_centres(fitted: ProtoLeakNet, small_model: Model) -> None:
    images, labels = textures(30, seed=2)
    behind = coordinates_of(fitted, images, small_model)
    embedding = torch.cat([torch.randn((30, FEATURES)), behind], dim=1)
    weighed = weigh_blocks(fitted, with_components(embedding, fitted), labels)
    factor = lengths(weighed) / lengths(fitted)
    torch.testing.assert_close(coordinates_of(weighed, images, small_model), behind * factor)


def test_net_without_coordinates_is_refused(small_model: Model) -> None:
    rows = torch.randn(6, FEATURES)
    with pytest.raises(ValueError, match="fit them first"):
        weigh_blocks(small_model.net, Embedded(rows, rows.abs(), torch.ones(6, 1)), [0, 1, 2] * 2)


def test_seed_decides_histories(small_model: Model) -> None:
    images, labels = textures(6)
    nets = [
        with_blocks(
            small_model.net,
            images,
            labels,
            preprocessing=small_model.preprocessing,
            recipe=replace(BlockRecipe(), as_is=1),
            seed=seed,
            report=lambda *_: None,
        )
        for seed in (3, 3, 4)
    ]
    first, again, other = (net.state_dict()["blocks.projection"] for net in nets)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def lengths(net: ProtoLeakNet) -> float:
    return float(net.head.prototypes[..., COORDINATES].detach().norm())


def with_components(judged: torch.Tensor, net: ProtoLeakNet) -> Embedded:
    """Judged numbers at gate 1, and components of any size at gate 0."""
    components = 100 * torch.ones((len(judged), net.config.components))
    gates = torch.cat([torch.ones_like(judged), torch.zeros_like(components)], dim=1)
    return Embedded(torch.cat([judged, components], dim=1), gates, torch.ones(len(judged), 1))


def test_components_keep_what_varies_and_decide_nothing(fitted: ProtoLeakNet, small_model: Model) -> None:
    images, _ = textures(16, seed=3)
    crops = [cut_crops(one, small_model.preprocessing) for one in images]
    pixels = torch.stack([to_tensor(one) for one in crops]).flatten(0, 1)
    rows = torch.zeros((len(pixels), FEATURES))
    behind = fitted.beside(Embedded(rows, rows, torch.ones(len(rows), 1)), fitted.coordinates(pixels))
    judged = fitted.config.judged_dim
    kept = behind.embedding[:, judged:]
    assert kept.shape[1] == fitted.config.components > 0
    assert kept.std(dim=0)[0] > kept.std(dim=0)[-1] > 0
    assert behind.gate[:, judged:].abs().max() == 0 < behind.gate[:, FEATURES:judged].min()
