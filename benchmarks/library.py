"""How much faster an attribution is than the path of the method's official release, on the same images in one run.

    python -m benchmarks.library IMAGES [--model starter] [--images 24] [--threads 1]

The release's path is rebuilt from its description: resize to 256 and centre crop, the autoencoder architecture of
Stable Diffusion 2.1 in float32 in batches of 8, five steps of noise, a small convolutional encoder, distances to
prototypes. Its weights are random, because speed does not depend on them. IMAGES is a folder; without it, pictures
are computed. Both sides are timed from a file's bytes to the answer.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn

from leaktrace.science.attributor import Attributor
from leaktrace.science.memory import keep_freed_memory
from leaktrace.science.renoising import signal_and_noise

RELEASE_STEPS = (0, 100, 200, 300, 400)
RELEASE_BATCH = 8
OUR_BATCH = 16


def main() -> None:
    arguments = _arguments()
    if not arguments.plain_malloc:
        keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    files = _files(arguments.images_folder, arguments.images)
    attributor = Attributor.load(arguments.model)
    attributor.self_test()
    release = Release()
    _ours(attributor, files[:2])
    release.attribute(files[:1])
    ours = _rate(lambda chosen: _ours(attributor, chosen), files)
    theirs = _rate(release.attribute, files[: arguments.release_images])
    preprocessing = attributor.model.preprocessing
    print(f"{len(files)} images, {arguments.threads} thread(s), model {attributor.version}")
    print(f"{preprocessing.crops} to {preprocessing.most} crops an image, {attributor.inference.precision}")
    print(f"leaktrace          {ours[0]:8.2f} images/s  ({ours[1]:.2f} images per processor second)")
    print(f"release, rebuilt   {theirs[0]:8.3f} images/s  ({theirs[1]:.3f} images per processor second)")
    print(
        f"ratio              {ours[0] / theirs[0]:8.1f} by the clock, {ours[1] / theirs[1]:.1f} by processor time"
    )
    for name, milliseconds in _parts(attributor, files).items():
        print(f"  {name:<16} {milliseconds:6.2f} ms an image")


class Release:
    """The release's path: everything resized, one crop, the large autoencoder in float32."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
            sample_size=768,
        ).eval()
        self.signal, self.sigma = signal_and_noise(RELEASE_STEPS)
        self.encoder = nn.Sequential(
            *(
                layer
                for i, o in ((4, 64), (64, 128), (128, 192))
                for layer in (nn.Conv2d(i, o, 3, 2, 1), nn.ReLU())
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(192, 128),
        ).eval()
        self.prototypes = torch.randn(9, 6, 128)

    @torch.inference_mode()
    def attribute(self, files: Sequence[bytes]) -> Tensor:
        """Distances (B, 9) of all files."""
        batches = [files[start : start + RELEASE_BATCH] for start in range(0, len(files), RELEASE_BATCH)]
        return torch.cat([self._batch([_resized(data) for data in batch]) for batch in batches])

    def _batch(self, crops: list[Tensor]) -> Tensor:
        latents = self.autoencoder.encode(torch.stack(crops)).latent_dist.mean * 0.18215
        noise = torch.randn(len(latents), len(self.sigma), *latents.shape[1:])
        ratio = (self.signal / self.sigma).view(1, -1, 1, 1, 1)
        renoised = ratio * latents[:, None] + noise
        features = self.encoder(renoised.flatten(0, 1)).view(len(latents), -1, 128).mean(1)
        return (features[:, None, None] - self.prototypes).square().sum(-1).amin(-1)


def _resized(data: bytes) -> Tensor:
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.convert("RGB")
    scale = 256 / min(pixels.size)
    pixels = pixels.resize(
        (round(pixels.width * scale), round(pixels.height * scale)), Image.Resampling.BILINEAR
    )
    left, top = (pixels.width - 256) // 2, (pixels.height - 256) // 2
    crop = np.asarray(pixels.crop((left, top, left + 256, top + 256)))
    return torch.from_numpy(crop.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _ours(attributor: Attributor, files: Sequence[bytes]) -> None:
    for start in range(0, len(files), OUR_BATCH):
        attributor.attribute([attributor.prepare(data) for data in files[start : start + OUR_BATCH]])


def _parts(attributor: Attributor, files: Sequence[bytes]) -> dict[str, float]:
    """Milliseconds of processor time an image: reading and cropping, networks, and all that follows them."""
    start = time.process_time()
    prepared = [attributor.prepare(data) for data in files]
    middle = time.process_time()
    attributor.inference.embed(prepared)
    networks = time.process_time()
    attributor.attribute(prepared)
    end = time.process_time()
    spent = {
        "decode + crops": middle - start,
        "networks": networks - middle,
        "head + density": (end - networks) - (networks - middle),
    }
    return {name: seconds / len(files) * 1e3 for name, seconds in spent.items()}


def _rate(attribute: Callable[[Sequence[bytes]], object], files: Sequence[bytes]) -> tuple[float, float]:
    """Images a second by the clock and by processor time, which other work on the machine disturbs less."""
    clock, processor = time.perf_counter(), time.process_time()
    attribute(files)
    return len(files) / (time.perf_counter() - clock), len(files) / (time.process_time() - processor)


def _files(folder: Path | None, count: int) -> list[bytes]:
    """Every n-th picture of a folder, so that all of its parts are seen, or computed pictures as JPEG."""
    if folder is None:
        return [_picture(seed) for seed in range(count)]
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    if not paths:
        raise SystemExit(f"{folder} holds no picture")
    return [path.read_bytes() for path in paths[:: max(1, len(paths) // count)][:count]]


def _picture(seed: int) -> bytes:
    """A 1024 px JPEG with areas, edges and grain, about as large as a photograph's."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((1024, 1024, 3))
    for cell in (256, 64, 16):
        size = 1024 // cell
        pixels += random.normal(0, 30, (size, size, 3)).repeat(cell, axis=0).repeat(cell, axis=1)
    pixels += random.normal(128, 6, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=75)
    return file.getvalue()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images_folder", nargs="?", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--release-images", type=int, default=8, help="how many of them the slow path gets")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--plain-malloc", action="store_true", help="let both paths fault their memory in anew"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
