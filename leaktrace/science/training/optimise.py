"""Stage two of training: the trace stream, leak encoder, gate, attention and prototypes, together on random crops.

Every epoch draws new crops and new noise. The weights that are kept are a running average; there is no early
stopping, so no split but the training one is ever looked at. Knows nothing of files, densities or verdicts.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from leaktrace.science.distilled import PictureStream, TwoStreamEncoder
from leaktrace.science.encoder import Embedded, attention_entropy
from leaktrace.science.inference import choose_precision, made_ready
from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.training.checkpoint import load_checkpoint, recipe_key, save_checkpoint
from leaktrace.science.training.crops import CropPlan, crop_batches

Pixels = NDArray[np.uint8]
Report = Callable[[str, float, float], None]  # stage, share done, loss
EPOCH_SEEDS = 1_000_003  # seeds of two trainings' epochs never meet
POSITIONS = ("prototypes", "gain", "offset")


@dataclass(frozen=True)
class TrainRecipe:
    """How the networks are trained.

    The learning rate falls to nothing over `cooled_over` epochs, or over all when that is 0; more than `epochs` leaves
    it high for a stage that follows.
    """

    epochs: int = 20
    cooled_over: int = 0
    crops_per_image: int = 8
    batch: int = 32
    plan: CropPlan = field(default_factory=lambda: CropPlan(side_px=96))
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    label_smoothing: float = 0.05
    entropy_weight: float = 0.02
    clip_norm: float = 5.0
    averaging: float = 0.998
    pooled_weight: float = 0.0  # of the loss on an image's averaged crops, beside the loss on single crops


class TrainedNetworks(nn.Module):
    """The latent encoder and ProtoLeakNet as one module, so that one optimiser and one checkpoint hold both."""

    def __init__(self, latent_encoder: TwoStreamEncoder, net: ProtoLeakNet) -> None:
        super().__init__()
        self.latent_encoder, self.net = latent_encoder, net
        if latent_encoder.picture is not None:
            latent_encoder.picture.requires_grad_(False)
        self._quick = [latent_encoder]  # in a list, so that it is no part of this module's state

    def quicken(self) -> None:
        """Run the frozen picture stream as inference does, from a fused copy of its present weights."""
        self._quick = [_quickened(self.latent_encoder)]

    def train(self, mode: bool = True) -> "TrainedNetworks":
        """Train mode for all but the picture stream, which stays as it was distilled."""
        super().train(mode)
        if self.latent_encoder.picture is not None:
            self.latent_encoder.picture.eval()
        return self

    def latents(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, H / 8, W / 8)."""
        latents: Tensor = self._quick[0](images)
        return latents

    def forward(self, images: Tensor) -> tuple[Tensor, Embedded]:
        """(B, 3, H, W) in [-1, 1] -> scores (B, K) and the embedding of B crops, under freshly drawn noise."""
        latents = self.latents(images)
        noise = torch.randn((len(latents), len(self.net.signal), *latents.shape[1:]), device=latents.device)
        scores, embedded = self.net(latents, noise)
        return scores, embedded


class _Quick(nn.Module):
    """A frozen picture stream as inference runs it, beside a training that casts for itself."""

    def __init__(self, picture: PictureStream) -> None:
        super().__init__()
        device = next(picture.parameters()).device
        self.channels, self.name = picture.channels, picture.name
        self.precision = choose_precision(device)
        self.picture = made_ready(picture, device, dtype=self.precision)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H / 8, W / 8)."""
        latents: Tensor = self.picture(images.to(self.precision))
        return latents


def _quickened(encoder: TwoStreamEncoder) -> TwoStreamEncoder:
    """The same trace stream beside a quick copy of the picture stream, if that is ours."""
    if not isinstance(encoder.picture, PictureStream):
        return encoder
    return TwoStreamEncoder(_Quick(encoder.picture), encoder.trace)


def optimise(
    networks: TrainedNetworks,
    images: Sequence[Pixels],
    *,
    labels: Sequence[int],
    recipe: TrainRecipe,
    seed: int,
    checkpoint: Path,
    report: Report,
) -> TrainedNetworks:
    """Train on random crops of `images` and return the averaged networks; goes on from `checkpoint` if it can."""
    torch.manual_seed(seed)
    networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(networks).eval()
    optimiser = torch.optim.AdamW(_decay_groups(networks, recipe.weight_decay), lr=recipe.learning_rate)
    state: dict[str, Any] = {
        "recipe": recipe_key(recipe, seed, networks.net.config, len(images)),
        "network": networks,
        "average": average,
        "optimiser": optimiser,
    }
    finished = load_checkpoint(checkpoint, **state)
    networks.quicken()
    for epoch in range(finished, recipe.epochs):
        epoch_seed = seed * EPOCH_SEEDS + epoch
        torch.manual_seed(epoch_seed)
        batches = crop_batches(
            images,
            recipe.plan,
            batch=recipe.batch,
            crops_per_image=recipe.crops_per_image,
            seed=epoch_seed,
        )
        labelled = ((crops, torch.as_tensor(labels)[chosen]) for crops, chosen in batches)
        pace = _Pace(recipe, steps=len(images) * recipe.crops_per_image // recipe.batch, epoch=epoch)
        loss = _epoch(networks, average, optimiser=optimiser, batches=labelled, pace=pace)
        save_checkpoint(checkpoint, epoch=epoch + 1, **state)
        report("training", (epoch + 1) / recipe.epochs, loss)
    return average


@dataclass(frozen=True)
class _Pace:
    """Learning rate and averaging over the whole training, addressed by epoch and step so that it can resume."""

    recipe: TrainRecipe
    steps: int
    epoch: int

    def done(self, step: int) -> int:
        return self.epoch * self.steps + step

    def learning_rate(self, step: int) -> float:
        """A linear warm-up, then half a cosine down to nothing."""
        share = self.done(step) / (self.steps * (self.recipe.cooled_over or self.recipe.epochs))
        highest = self.recipe.learning_rate
        if share < self.recipe.warm_up:
            return highest * share / self.recipe.warm_up
        down = (share - self.recipe.warm_up) / (1 - self.recipe.warm_up)
        return highest * 0.5 * (1 + math.cos(math.pi * down))

    def decay(self, step: int) -> float:
        """How much of the running average stays; less at the start, so that the first weights are forgotten."""
        return min(self.recipe.averaging, (1 + self.done(step)) / (10 + self.done(step)))


def _epoch(
    networks: TrainedNetworks,
    average: TrainedNetworks,
    *,
    optimiser: torch.optim.AdamW,
    batches: Iterable[tuple[Tensor, Tensor]],
    pace: _Pace,
) -> float:
    networks.train()
    losses = []
    for step, (crops, targets) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = pace.learning_rate(step)
        losses.append(_step(networks, crops, targets=targets, recipe=pace.recipe, optimiser=optimiser))
        _move_average(average, networks, decay=pace.decay(step))
    return sum(losses) / max(len(losses), 1)


def _step(
    networks: TrainedNetworks,
    crops: Tensor,
    *,
    targets: Tensor,
    recipe: TrainRecipe,
    optimiser: torch.optim.AdamW,
) -> float:
    with torch.autocast("cpu", torch.bfloat16):
        scores, embedded = networks(crops)
    loss = _loss(networks.net, scores, embedded=embedded, targets=targets, recipe=recipe)
    attention = embedded.attention.float()
    idle = math.log(attention.shape[1]) - attention_entropy(attention)
    optimiser.zero_grad()
    (loss + recipe.entropy_weight * idle).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(networks.parameters(), recipe.clip_norm)
    optimiser.step()
    return loss.item()


def _loss(
    net: ProtoLeakNet, scores: Tensor, *, embedded: Embedded, targets: Tensor, recipe: TrainRecipe
) -> Tensor:
    """Cross-entropy of single crops and, by `pooled_weight`, of an image's crops pooled as at inference."""
    views = recipe.plan.views
    smoothing = recipe.label_smoothing
    single = functional.cross_entropy(
        scores.float(), targets.repeat_interleave(views), label_smoothing=smoothing
    )
    if not recipe.pooled_weight:
        return single
    pooled = net.pool(embedded, crops=views)
    together = functional.cross_entropy(
        net.head(pooled.embedding, pooled.gate), targets, label_smoothing=smoothing
    )
    return torch.lerp(single, together, recipe.pooled_weight)


def _decay_groups(networks: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels; none for prototypes, gains, offsets and biases, which are positions."""
    trained = [(name, p) for name, p in networks.named_parameters() if p.requires_grad]
    free = [p for name, p in trained if p.ndim < 2 or name.endswith(POSITIONS)]
    free_ids = {id(p) for p in free}
    return [
        {"params": [p for _, p in trained if id(p) not in free_ids], "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


@torch.no_grad()
def _move_average(average: nn.Module, networks: nn.Module, *, decay: float) -> None:
    for kept, current in zip(average.state_dict().values(), networks.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)
