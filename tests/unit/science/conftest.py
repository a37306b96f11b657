"""Small networks with random weights, and pictures made of noise: what the science tests need, in milliseconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leaktrace.science.attributor import Attributor
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.distilled import LatentsConfig, PictureConfig, TraceConfig, build_latent_encoder
from leaktrace.science.encoder import EncoderConfig
from leaktrace.science.model import ModelConfig, ProtoLeakNet
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import Preprocessing
from leaktrace.science.renoising import Schedule
from leaktrace.science.training.crops import CropPlan
from leaktrace.science.training.dataset import read_dataset
from leaktrace.science.training.optimise import TrainRecipe
from leaktrace.science.training.train import Recipe, train_model

# Networks this small are slower on several threads than on one.
torch.set_num_threads(1)

CLASSES = ("alpha-1", "beta-2", "real")
LATENTS = LatentsConfig(
    picture=PictureConfig(channels=4, width=8, blocks=1),
    trace=TraceConfig(channels=4, widths=(8, 8, 8), blocks=(0, 0, 1)),
)


@pytest.fixture
def small_model() -> Model:
    """A model of three classes with random weights that reads two crops of 64 px."""
    torch.manual_seed(0)
    latent_encoder = build_latent_encoder(LATENTS)
    encoder = EncoderConfig(channels=8, steps=(0, 100, 500), widths=(8, 8, 8), embedding_dim=16)
    return Model(
        name="small",
        preprocessing=Preprocessing(crop_px=64, crops=2),
        schedule=Schedule(steps=(0, 100, 500)),
        latents=LATENTS,
        latent_encoder=latent_encoder.eval(),
        net=ProtoLeakNet(ModelConfig(encoder, CLASSES, prototypes=2)).eval(),
        temperature=1.5,
    )


def write_pictures(root: Path, *, generators: tuple[str, ...], count: int, seed: int = 0) -> None:
    """`count` noise pictures a generator, in folders; equal names stand for equal prompts."""
    random = np.random.default_rng(seed)
    for generator in generators:
        (root / generator).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = random.integers(0, 256, (136, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / generator / f"prompt-{index:03d}.png")


def write_manifest(root: Path, *, generators: tuple[str, ...], count: int, train: int, val: int) -> Path:
    """A manifest over the same pictures: the first `train` prompts, then `val`, the others are test."""
    rows = ["file,generator,role,split,prompt"]
    for generator in generators:
        for index in range(count):
            split = "train" if index < train else "val" if index < train + val else "test"
            rows.append(f"{generator}/prompt-{index:03d}.png,{generator},closed,{split},{index}")
    path = root / "manifest.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 x 16 noise pictures with a manifest: 8 train, 4 validation, 4 test prompts."""
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root, generators=CLASSES, count=16)
    write_manifest(root, generators=CLASSES, count=16, train=8, val=4)
    return root


SMALL_RECIPE = Recipe(
    name="small",
    latents=replace(LATENTS, picture=None),
    preprocessing=Preprocessing(crop_px=64, crops=2),
    schedule=Schedule(steps=(0, 100, 500)),
    train=TrainRecipe(epochs=2, crops_per_image=2, batch=8, plan=CropPlan(side_px=64)),
    refine=TrainRecipe(
        epochs=1,
        crops_per_image=2,
        batch=8,
        plan=CropPlan(side_px=64, scrambled=0.5, processed=0.5, views=2),
        pooled_weight=0.5,
    ),
    practise=TrainRecipe(epochs=1, crops_per_image=2, batch=8, plan=CropPlan(side_px=64)),
    strangers=6,
)


@pytest.fixture(scope="session")
def small_folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that the real training wrote from noise, in a second or two."""
    out = tmp_path_factory.mktemp("models") / "small"
    train_model(read_dataset(pictures), out, recipe=SMALL_RECIPE, report=lambda *_: None)
    return out


@pytest.fixture
def attributor(small_folder: Path) -> Attributor:
    """The trained small model, loaded."""
    return Attributor.load(small_folder, device="cpu")


def two_classes(dimensions: int, *, images: int) -> OpenSetDensity:
    """A density of two classes, "a" and "b", whose centres lie 6 deviations out on the first two axes."""
    draw = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], images)
    centres = np.repeat(np.eye(2, dimensions) * 6, images, axis=0)
    known, calibration = draw.normal(size=(2, 2 * images, dimensions)) + centres
    return OpenSetDensity(model_version="m").fit(
        known, labels, calibration_embeddings=calibration, calibration_labels=labels
    )
