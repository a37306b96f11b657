"""Each peer learns what its evidence shows, repeats itself, and keeps the order of images."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from benchmarks.peers.__main__ import PEERS
from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.contrastive import contrastive_loss
from benchmarks.peers.features import NearestMean
from benchmarks.peers.interface import Crops, Peer
from benchmarks.peers.npr import neighbour_residual
from benchmarks.peers.release import LeakNet
from benchmarks.peers.training import tiles

EPOCHS = 3


def images(count: int, seed: int) -> tuple[list[Crops], np.ndarray]:
    """Two classes of noise that differ in its grain: single pixels, or pairs of equal ones."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    found = []
    for index, label in enumerate(labels):
        fine = random.integers(0, 256, (1, 3, 128, 128), dtype=np.uint8)
        crops = fine if label == 0 else fine[..., ::2].repeat(2, axis=3)
        found.append(Crops(np.ascontiguousarray(crops), f"{seed}-{index}"))
    return found, labels


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Autoencoder:
    """A narrow TAESD with random weights."""
    root = tmp_path_factory.mktemp("autoencoder")
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (16,) * 4, "decoder_block_out_channels": (16,) * 4}
    AutoencoderTiny(**widths, num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4).save_pretrained(
        root / "tiny"
    )
    return Autoencoder(root / "tiny", cache=root)


@pytest.fixture
def fitted(autoencoder: Autoencoder) -> Callable[[str], Peer]:
    torch.set_num_threads(1)
    return lambda name: PEERS[name](autoencoder, EPOCHS).fit(*images(96, 0), seed=0)


@pytest.mark.parametrize("name", PEERS)
def test_peer_gives_probabilities(name: str, fitted: Callable[[str], Peer]) -> None:
    scores = fitted(name).score(images(6, 1)[0])
    assert scores.probabilities.shape == (6, 2)
    assert scores.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(scores.novelty).all()


@pytest.mark.parametrize("name", ["residual-spectrum", "aeroblade-style"])
def test_peer_tells_two_grains(name: str, fitted: Callable[[str], Peer]) -> None:
    unseen, labels = images(40, 1)
    right = fitted(name).score(unseen).probabilities.argmax(axis=1) == labels
    assert right.mean() > 0.9


@pytest.mark.parametrize("name", ["residual-spectrum", "frida-style-knn", "npr"])
def test_order_of_images_stays(name: str, fitted: Callable[[str], Peer]) -> None:
    peer, unseen = fitted(name), images(6, 1)[0]
    forwards, backwards = peer.score(unseen).novelty, peer.score(unseen[::-1]).novelty
    assert forwards == pytest.approx(backwards[::-1], rel=1e-4)


def test_seed_repeats_the_training(autoencoder: Autoencoder) -> None:
    first, second = (
        PEERS["release"](autoencoder, EPOCHS).fit(*images(48, 0), seed=3).score(images(4, 1)[0]) for _ in "ab"
    )
    assert (first.novelty == second.novelty).all()


def test_autoencoder_passes_once(autoencoder: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    some = images(3, 7)[0]
    first = autoencoder.passed(some)
    monkeypatch.setattr(autoencoder, "model", None)
    assert (autoencoder.passed(some).latents == first.latents).all()


def test_latents_equal_the_autoencoders(autoencoder: Autoencoder) -> None:
    some = images(2, 8)[0]
    pixels = torch.from_numpy(np.concatenate([image.crops for image in some])).float() / 127.5 - 1
    expected = autoencoder.model.encode(pixels.to(autoencoder.precision)).latents.float().numpy()
    assert autoencoder.passed(some).latents == pytest.approx(expected, abs=0.02)


def test_release_pooling_is_untrained() -> None:
    assert "pooling" not in dict(LeakNet(3).named_parameters())


def test_neighbour_residual_by_hand() -> None:
    pixels = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).expand(1, 3, 2, 2)
    expected = torch.tensor([[0.0, 1.0], [2.0, 4.0]]) * 8 / 3
    assert torch.allclose(neighbour_residual(pixels)[0, 0], expected)


def test_contrastive_loss_wants_neighbours() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    close, crossed = torch.eye(2)[labels], torch.eye(2)[torch.tensor([0, 1, 0, 1])]
    assert contrastive_loss(close, labels) < 0.1 < contrastive_loss(crossed, labels)


def test_tiles_cover_the_crops() -> None:
    assert tiles(np.zeros((2, 3, 256, 256), dtype=np.uint8), 128).shape == (8, 3, 128, 128)


def test_nearest_mean_ranks_strangers() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(100, 4)) + np.arange(100)[:, None] % 2 * 6
    nearest = NearestMean().fit(features, np.arange(100) % 2)
    assert nearest.novelty(np.full((1, 4), 20.0)) > nearest.novelty(features).max()
