"""Diffusers autoencoders behind the latent interface: deterministic, scaled, and clear about what is missing."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from leaktrace.science.latents import LatentEncoder, LatentEncoderMissing, load_diffusers_encoder

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def kl_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        scaling_factor=0.25,
    )
    autoencoder.save_pretrained(tmp_path / "kl")
    return tmp_path / "kl"


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    autoencoder = AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
    autoencoder.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_kl_latents_are_scaled_means(kl_folder: Path) -> None:
    images = torch.rand(2, 3, 64, 48) * 2 - 1
    encoder = load_diffusers_encoder(str(kl_folder))
    with torch.no_grad():
        moments = AutoencoderKL.from_pretrained(kl_folder, low_cpu_mem_usage=False).encode(images)
    torch.testing.assert_close(encoder.encode(images), moments.latent_dist.mean * 0.25)


def test_kl_latents_repeat_exactly(kl_folder: Path) -> None:
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    encoder = load_diffusers_encoder(str(kl_folder))
    assert torch.equal(encoder.encode(images), encoder.encode(images))


def test_tiny_autoencoder_gives_eighths(tiny_folder: Path) -> None:
    encoder = load_diffusers_encoder(str(tiny_folder))
    assert encoder.encode(torch.zeros(1, 3, 64, 48)).shape == (1, 4, 8, 6)


def test_diffusers_encoder_fits_interface(tiny_folder: Path) -> None:
    encoder = load_diffusers_encoder(str(tiny_folder))
    assert isinstance(encoder, LatentEncoder)
    assert (encoder.name, encoder.channels, encoder.factor) == ("tiny", 4, 8)


def test_diffusers_encoder_never_trains(tiny_folder: Path) -> None:
    encoder = load_diffusers_encoder(str(tiny_folder)).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_missing_autoencoder_says_where(tmp_path: Path) -> None:
    with pytest.raises(LatentEncoderMissing, match=r"config\.json") as caught:
        load_diffusers_encoder(str(tmp_path / "nowhere"))
    assert caught.value.source == str(tmp_path / "nowhere")


def test_other_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}', encoding="utf-8")
    with pytest.raises(LatentEncoderMissing, match="UNet2DModel"):
        load_diffusers_encoder(str(tmp_path))


@pytest.mark.parametrize("shape", [(1, 3, 60, 64), (1, 3, 64, 60), (1, 1, 64, 64), (3, 64, 64)])
def test_odd_shapes_are_refused(tiny_folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        load_diffusers_encoder(str(tiny_folder)).encode(torch.zeros(shape))
