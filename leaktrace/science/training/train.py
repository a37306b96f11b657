"""`leaktrace train`: distil, train, refine, practise, read blocks, calibrate: from images to a model folder.

Optimising resumes: the distilled picture stream and the last checkpoints lie in OUT/.work. Only training and validation
images are ever opened, through `FittingSet`. Knows nothing of terminals: progress goes to a callback.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from leaktrace.science.distilled import (
    LatentsConfig,
    PictureConfig,
    PictureStream,
    TraceConfig,
    build_latent_encoder,
)
from leaktrace.science.encoder import EncoderConfig
from leaktrace.science.latents import load_diffusers_encoder
from leaktrace.science.model import ModelConfig, ProtoLeakNet
from leaktrace.science.model_folder import Model, write_card
from leaktrace.science.preprocessing import Preprocessing
from leaktrace.science.renoising import Schedule
from leaktrace.science.training.block_fitting import BlockRecipe, weigh_blocks, with_blocks
from leaktrace.science.training.calibrate import calibrate, embed
from leaktrace.science.training.checkpoint import recipe_key
from leaktrace.science.training.crops import CropPlan
from leaktrace.science.training.dataset import Dataset, FittingSet, file_digest, fitting_set, load_pixels
from leaktrace.science.training.distil import DistilRecipe, distil
from leaktrace.science.training.optimise import TrainedNetworks, TrainRecipe, optimise
from leaktrace.science.training.practising import practise
from leaktrace.science.training.strangers import make_strangers

WORK = ".work"
PACKAGES = ("torch", "diffusers", "numpy", "pillow", "safetensors", "scikit-learn")
DIGEST_DIGITS = 16

Pixels = NDArray[np.uint8]
Report = Callable[[str, float, float], None]  # stage, share done, loss

# Small crops of clean images teach what traces are; larger ones, several an image and with all kinds of histories,
# teach to rely on what survives and on what an image's crops say together.
REFINING = TrainRecipe(
    epochs=28,
    cooled_over=64,
    plan=CropPlan(side_px=128, scrambled=0.35, processed=0.25, views=4),
    learning_rate=1e-3,
    warm_up=0.05,
    pooled_weight=0.5,
)
# The same again, with strangers as one class more.
PRACTISING = replace(REFINING, epochs=22, cooled_over=0)


@dataclass(frozen=True)
class Recipe:
    """Everything that a training depends on beside its images; the defaults made the starter model."""

    name: str = "starter"
    teacher: str = "madebyollin/taesd"
    latents: LatentsConfig = field(
        default_factory=lambda: LatentsConfig(PictureConfig(), None, TraceConfig())
    )
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(crops=4, most_crops=16))
    schedule: Schedule = field(default_factory=Schedule)
    distil: DistilRecipe = field(default_factory=DistilRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)
    refine: TrainRecipe = field(default_factory=lambda: REFINING)
    practise: TrainRecipe = field(default_factory=lambda: PRACTISING)
    strangers: int = 280
    blocks: BlockRecipe | None = field(default_factory=BlockRecipe)
    seed: int = 0
    hold_out: bool = False


def train_model(dataset: Dataset, out: Path, *, recipe: Recipe, report: Report) -> dict[str, Any]:
    """Run all stages and write the model folder; returns its card. Raises SplitLeak, LatentEncoderMissing."""
    fitting = fitting_set(dataset, purpose="train", hold_out=recipe.hold_out)
    calibration = fitting_set(dataset, purpose="calibrate")
    images = [image.pixels for image in load_pixels(fitting.samples)]
    labels = [fitting.generators.index(sample.generator) for sample in fitting.samples]
    networks = _networks(images, labels, fitting.generators, work=out / WORK, recipe=recipe, report=report)
    if recipe.strangers:
        networks = practise(
            networks,
            images,
            labels,
            strangers=_strangers(images, recipe=recipe, report=report),
            recipe=recipe.practise,
            seed=recipe.seed,
            checkpoint=out / WORK / "practised.safetensors",
            report=_named("practising", report),
        )
    model = Model(
        name=recipe.name,
        preprocessing=recipe.preprocessing,
        schedule=recipe.schedule,
        latents=recipe.latents,
        latent_encoder=networks.latent_encoder,
        net=networks.net,
    )
    model = _with_blocks(
        model, images, labels, out=out, calibration=calibration, recipe=recipe, report=report
    )
    card = calibrate(model, out, fitting=fitting, calibration=calibration, report=report)
    card["data"] = _data(dataset, fitting=fitting, calibration=calibration)
    card["training"] = _settings(recipe)
    card["versions"] = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    write_card(out, card)
    return card


def _with_blocks(
    model: Model,
    images: Sequence[Pixels],
    labels: Sequence[int],
    *,
    out: Path,
    calibration: FittingSet,
    recipe: Recipe,
    report: Report,
) -> Model:
    """The model with coordinates of block statistics, weighed on the calibration images, if the recipe asks for any."""
    if recipe.blocks is None:
        return model
    net = with_blocks(
        model.net,
        images,
        labels,
        preprocessing=recipe.preprocessing,
        recipe=recipe.blocks,
        seed=recipe.seed,
        report=report,
    )
    held = embed(replace(model, net=net), out, fitting=calibration, report=report)
    names = [model.classes.index(sample.generator) for sample in calibration.samples]
    return replace(model, net=weigh_blocks(net, held, names))


def _networks(
    images: Sequence[Pixels],
    labels: Sequence[int],
    generators: tuple[str, ...],
    *,
    work: Path,
    recipe: Recipe,
    report: Report,
) -> TrainedNetworks:
    """Stages distil, train and refine: the averaged networks after the last epoch."""
    torch.manual_seed(recipe.seed)
    latent_encoder = build_latent_encoder(recipe.latents)
    if isinstance(latent_encoder.picture, PictureStream):
        latent_encoder.picture = _distilled(
            latent_encoder.picture, images, work=work, recipe=recipe, report=report
        )
    config = EncoderConfig(channels=latent_encoder.channels, steps=recipe.schedule.steps)
    networks = TrainedNetworks(latent_encoder, ProtoLeakNet(ModelConfig(config, generators)))
    stages = {"training": (recipe.train, "checkpoint"), "refining": (recipe.refine, "refined")}
    for stage, (settings, checkpoint) in stages.items():
        networks = optimise(
            networks,
            images,
            labels=labels,
            recipe=settings,
            seed=recipe.seed,
            checkpoint=work / f"{checkpoint}.safetensors",
            report=_named(stage, report),
        )
    return networks


def _distilled(
    stream: PictureStream, images: Sequence[Pixels], *, work: Path, recipe: Recipe, report: Report
) -> PictureStream:
    """The picture stream, from `work` when it was distilled before."""
    key = recipe_key(recipe.distil, recipe.latents.picture, recipe.teacher, recipe.seed, len(images))
    path = work / "picture.safetensors"
    if not _restored(stream, path, key=key):
        result = distil(
            load_diffusers_encoder(recipe.teacher),
            images,
            recipe=recipe.distil,
            config=stream.config,
            seed=recipe.seed,
            report=report,
        )
        stream = result.stream
        _store(stream, path, key=key)
    return stream


def _strangers(images: Sequence[Pixels], *, recipe: Recipe, report: Report) -> list[Pixels]:
    """Images of generators that do not exist; where an autoencoder is at hand, it makes a quarter of them."""
    report("making strangers", 0.0, 0.0)
    source = recipe.teacher if recipe.latents.picture else recipe.latents.source
    autoencoder = load_diffusers_encoder(source).autoencoder if source else None
    return make_strangers(images, number=recipe.strangers, seed=recipe.seed, autoencoder=autoencoder)


def _named(stage: str, report: Report) -> Report:
    return lambda _, share, loss: report(stage, share, loss)


def _restored(stream: PictureStream, path: Path, *, key: str) -> bool:
    if not path.is_file() or path.with_suffix(".key").read_text(encoding="utf-8") != key:
        return False
    stream.load_state_dict(load_file(path))
    return True


def _store(stream: PictureStream, path: Path, *, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in stream.state_dict().items()}, path)
    path.with_suffix(".key").write_text(key, encoding="utf-8")


def _data(dataset: Dataset, *, fitting: FittingSet, calibration: FittingSet) -> dict[str, Any]:
    """Which images made the model: `evaluate` refuses to count any of them again."""
    used = [*fitting.samples, *calibration.samples]
    return {
        "manifest_sha256": dataset.digest,
        "train_images": len(fitting.samples),
        "calibration_images": len(calibration.samples),
        "used_files": sorted(file_digest(sample)[:DIGEST_DIGITS] for sample in used),
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    settings = asdict(replace(recipe, teacher=Path(recipe.teacher).name))
    return {
        key: settings[key]
        for key in (
            "teacher",
            "distil",
            "train",
            "refine",
            "practise",
            "strangers",
            "blocks",
            "seed",
            "hold_out",
        )
    }
