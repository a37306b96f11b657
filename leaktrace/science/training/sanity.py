"""Checks that an evaluation must fail to find anything in: shuffled labels, shuffled roles, random weights.

Where there is nothing to know, every figure has to be at chance; if one is not, the evaluation leaks the answer.
Random weights keep the architecture and the one path of every image. Knows nothing of files.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from leaktrace.science.inference import InferencePass
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import PreparedImage
from leaktrace.science.training.answers import Answers
from leaktrace.science.training.figures import closed_rows
from leaktrace.science.training.metrics import auroc, macro_auc, top1

Floats = NDArray[np.float64]

SHUFFLES = 200
RANDOM_HEADS = 200
_PERCENTILES = (2.5, 97.5)


def label_shuffle(answers: Answers, *, seed: int = 0) -> dict[str, Any] | None:
    """Macro AUC and top-1 when the truths change places among the images: must be at chance."""
    rows = closed_rows(answers)
    if not len(rows):
        return None
    chosen, generator = answers[rows], np.random.default_rng(seed)
    ones = np.ones((1, len(rows)))
    shuffled = [generator.permutation(chosen.labels) for _ in range(SHUFFLES)]
    aucs = [macro_auc(chosen.probabilities, labels, ones)[0] for labels in shuffled]
    hits = [top1(chosen.probabilities, labels, ones)[0] for labels in shuffled]
    share = np.bincount(chosen.labels, minlength=len(answers.classes)) / len(rows)
    guesses = np.bincount(chosen.probabilities.argmax(axis=1), minlength=len(answers.classes)) / len(rows)
    return {
        "macro_auc": _verdict(aucs, chance=0.5),
        "top1": _verdict(hits, chance=float(share @ guesses)),
    }


def role_shuffle(answers: Answers, *, seed: int = 0) -> dict[str, Any] | None:
    """Open-set AUROC when known images play the unseen ones at random: must be at chance.

    Only images of known generators take part, so the two sides come from one distribution and nothing but a path
    that knows the label could tell them apart.
    """
    novelty = answers.novelty[answers.known]
    if len(novelty) < 4:
        return None
    generator, ones = np.random.default_rng(seed), np.ones((1, len(novelty)))
    roles = np.arange(len(novelty)) % 2 == 0
    values = [auroc(novelty, generator.permutation(roles), ones)[0] for _ in range(SHUFFLES)]
    return {"auroc": _verdict(values, chance=0.5)}


def random_weights(
    model: Model, images: Sequence[PreparedImage], labels: NDArray[np.int64], *, noise_key: str, seed: int = 0
) -> dict[str, Any] | None:
    """Closed-set figures of the same architecture with random weights: one random encoder under many random heads.

    A random encoder may well separate generators, but a random head cannot know their names, so the mean over heads
    must be at chance.
    """
    if len(np.unique(labels)) < 2:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = copy.deepcopy(model.net)
        randomise(net)
        encoder = copy.deepcopy(model.latent_encoder)
        randomise(encoder)
        blank = replace(model, net=net, latent_encoder=encoder)
        inference = InferencePass(blank, noise_key=noise_key, device=torch.device("cpu"))
        embedded = inference.embed(images)
        ones = np.ones((1, len(images)))
        aucs, hits = [], []
        for _ in range(RANDOM_HEADS):
            randomise(inference.net.head)
            probabilities = inference.probabilities(embedded).numpy()
            aucs.append(macro_auc(probabilities, labels, ones)[0])
            hits.append(top1(probabilities, labels, ones)[0])
    chance = 1 / len(model.classes)
    return {
        "images": len(images),
        "macro_auc": _verdict(aucs, chance=0.5),
        "top1": _verdict(hits, chance=chance),
    }


def randomise(module: nn.Module) -> None:
    """Draw all weights anew: layers by their own rule, any other parameter from a normal of its own spread."""
    drawn: set[int] = set()
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            drawn |= {id(parameter) for parameter in part.parameters(recurse=False)}
    for parameter in module.parameters():
        if id(parameter) not in drawn and parameter.numel() > 1:
            spread = float(parameter.detach().std()) or 1.0
            nn.init.normal_(parameter, float(parameter.detach().mean()), spread)


def _verdict(values: Sequence[float], *, chance: float) -> dict[str, float | bool]:
    """Mean and 95 % range of many random values; at chance when the range holds what chance gives."""
    low, high = np.percentile(values, _PERCENTILES)
    return {
        "mean": float(np.mean(values)),
        "low": float(low),
        "high": float(high),
        "chance": chance,
        "at_chance": bool(low <= chance <= high),
    }
