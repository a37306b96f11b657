"""Images to latents, behind one small interface that every latent encoder satisfies.

Any diffusers autoencoder (AutoencoderKL or AutoencoderTiny) can stand in, by hub name or folder; the encoder that
Leaktrace trains itself is in `distilled.py`. Encoding is deterministic: the mean of the posterior, never a sample.
diffusers takes seconds to import, so it is imported only where an autoencoder is opened. Knows nothing of noise,
steps or generators.
"""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from leaktrace.errors import Unavailable

FACTOR = 8
FAMILIES = ("AutoencoderKL", "AutoencoderTiny")


class LatentEncoderMissing(Unavailable):
    """An autoencoder that a model needs is neither in a folder nor in the local hub cache."""

    code = "latent_encoder_missing"

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        super().__init__(
            f"the autoencoder {source!r} cannot be loaded ({reason}): give a folder holding config.json and its "
            f"weights, or download it into the hub cache first with `hf download {source}`"
        )


@runtime_checkable
class LatentEncoder(Protocol):
    """What turns images into latents. An implementation is an `nn.Module` whose forward pass is `encode`."""

    name: str
    channels: int
    factor: int  # how many times smaller the latents are than the image, on each side

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / factor, W / factor)."""


def check_images(images: Tensor, *, factor: int) -> None:
    """Raise ValueError unless `images` are (B, 3, H, W) with sides that `factor` divides."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (B, 3, H, W), not {tuple(images.shape)}")
    height, width = images.shape[2:]
    if height % factor or width % factor:
        raise ValueError(f"the sides {height} x {width} must be multiples of {factor}")


class DiffusersEncoder(nn.Module):
    """A frozen diffusers autoencoder's encoder; KL latents are the posterior's mean times the scaling factor."""

    factor = FACTOR

    def __init__(self, autoencoder: Any, *, name: str) -> None:
        super().__init__()
        self.autoencoder: Any = autoencoder.requires_grad_(False).eval()
        self.name = name
        self.channels = int(autoencoder.config["latent_channels"])

    def train(self, mode: bool = True) -> "DiffusersEncoder":
        """Stay in evaluation mode: the autoencoder is never trained here."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / 8, W / 8)."""
        check_images(images, factor=self.factor)
        weight = next(self.autoencoder.parameters())
        output = self.autoencoder.encode(images.to(weight.dtype))
        if hasattr(output, "latents"):  # AutoencoderTiny has no posterior
            return torch.as_tensor(output.latents).float()
        return torch.as_tensor(output.latent_dist.mean).float() * float(
            self.autoencoder.config["scaling_factor"]
        )

    forward = encode


def load_diffusers_encoder(source: str, *, dtype: torch.dtype = torch.float32) -> DiffusersEncoder:
    """Open an autoencoder from a folder or, by hub name, from the local cache: nothing is downloaded here.

    Raises LatentEncoderMissing when it is in neither place, or when its class is not one of `FAMILIES`.
    """
    family = _family(source)
    try:
        autoencoder = family.from_pretrained(
            source, torch_dtype=dtype, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError) as error:
        raise LatentEncoderMissing(source, str(error).splitlines()[0]) from error
    autoencoder.to(memory_format=torch.channels_last)
    return DiffusersEncoder(autoencoder, name=Path(source).name if Path(source).exists() else source)


def _family(source: str) -> Any:
    import diffusers  # its classes carry no types

    try:
        config = diffusers.AutoencoderKL.load_config(source, local_files_only=True)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise LatentEncoderMissing(source, str(error).splitlines()[0]) from error
    class_name = config.get("_class_name", "nothing")
    if class_name not in FAMILIES:
        raise LatentEncoderMissing(source, f"its class is {class_name}, not one of {', '.join(FAMILIES)}")
    return getattr(diffusers, class_name)
