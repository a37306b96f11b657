"""`python -m benchmarks.peers DATA --autoencoder FOLDER --out RUNS`: fit and score peers on one split.

Each peer's run is written in the format of `leaktrace evaluate --json`, so `leaktrace compare` reads it, and
`python -m benchmarks.peers.table` makes the table of the documentation. The temperature of every peer's probabilities
is fitted on the validation split, as our own model's is.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.peers.aeroblade import Aeroblade
from benchmarks.peers.autoencoder import Autoencoder
from benchmarks.peers.contrastive import Contrastive
from benchmarks.peers.frida import FridaNeighbours, FridaPerceptron
from benchmarks.peers.interface import Crops, Peer, Scores
from benchmarks.peers.latte import Latte
from benchmarks.peers.npr import NPR
from benchmarks.peers.release import Release
from benchmarks.peers.residual_spectrum import ResidualSpectrum
from benchmarks.peers.training import Budget
from leaktrace.science.memory import keep_freed_memory
from leaktrace.science.preprocessing import PROTOCOLS, Preprocessing
from leaktrace.science.temperature import fit_temperature
from leaktrace.science.training.answers import Answers, Truths
from leaktrace.science.training.dataset import Dataset, Sample, fitting_set, read_dataset
from leaktrace.science.training.evaluate import Plan, Surveys, beside_the_score, survey_dataset
from leaktrace.science.training.figures import figures_of
from leaktrace.science.training.judging import prepared_samples

PREPARED_AT_ONCE = 64

# The cheapest first.
PEERS: dict[str, Callable[[Autoencoder, int | None], Peer]] = {
    "residual-spectrum": lambda _, __: ResidualSpectrum(),
    "aeroblade-style": lambda autoencoder, _: Aeroblade(autoencoder),
    "frida-style-knn": lambda autoencoder, _: FridaNeighbours(autoencoder),
    "frida-style-mlp": lambda autoencoder, _: FridaPerceptron(autoencoder),
    "release": lambda autoencoder, epochs: Release(
        autoencoder, Budget(epochs or 10, batch=16, learning_rate=3e-4, weight_decay=1e-4)
    ),
    "latte-style": lambda autoencoder, epochs: Latte(autoencoder, Budget(epochs or 20, batch=32)),
    "npr": lambda _, epochs: NPR(Budget(epochs or 20, batch=32, learning_rate=2e-3)),
    "code-style": lambda _, epochs: Contrastive(Budget(epochs or 12, batch=48, learning_rate=2e-3)),
}


@dataclass(frozen=True)
class Prepared:
    """The readable images of one split under one protocol."""

    samples: list[Sample]
    sizes: list[tuple[int, int]]
    crops: list[Crops]


def main() -> None:
    """Run the chosen peers one after the other."""
    arguments = _arguments()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    dataset = read_dataset(arguments.data)
    autoencoder = Autoencoder(arguments.autoencoder, cache=arguments.out / "cache")
    surveys = survey_dataset(dataset, used=(), report=lambda *_: None)
    for name in arguments.peer or PEERS:
        peer = PEERS[name](autoencoder, arguments.epochs)
        for seed in arguments.seed or [0]:
            run = _run(peer, dataset, surveys, protocol=arguments.protocol, seed=seed)
            path = arguments.out / f"{name}-{arguments.protocol}-{seed}.json"
            path.write_text(json.dumps(run, indent=1), encoding="utf-8")
            closed = run["closed_set"]
            print(
                f"{path.name}: macro AUC {closed['macro_auc']['value']:.3f}, {run['seconds']:.0f} s",
                flush=True,
            )


def _run(peer: Peer, dataset: Dataset, surveys: Surveys, *, protocol: Any, seed: int) -> dict[str, Any]:
    """Fit on the training split, set the temperature on validation, score test and open images."""
    preprocessing = Preprocessing(protocol=protocol, crops=peer.crops)
    started = perf_counter()
    fitting = fitting_set(dataset, purpose="train")
    train, held, judged = (
        _prepared(samples, preprocessing)
        for samples in (
            fitting.samples,
            fitting_set(dataset, purpose="calibrate").samples,
            [one.sample for one in surveys.judged],
        )
    )
    classes = fitting.generators
    peer.fit(train.crops, _labels(train.samples, classes), seed=seed)
    temperature = _temperature(peer.score(held.crops), _labels(held.samples, classes).tolist())
    found = peer.score(judged.crops)
    answers = Answers(
        Truths.of(judged.samples, judged.sizes),
        classes,
        _cooled(found, temperature),
        np.asarray(found.novelty, dtype=np.float64),
    )
    plan = Plan(protocol)
    return {
        "format": 2,
        "model": peer.name,
        "budget": peer.budget,
        "seed": seed,
        "protocol": protocol,
        "tiers": {name: list(members) for name, members in plan.tiers.items()},
        "manifest_sha256": dataset.digest,
        "images": len(judged.samples),
        "classes": list(classes),
        **figures_of(answers, tiers=plan.tiers),
        **beside_the_score(answers, surveys, plan=plan),
        "records": _records(answers),
        "seconds": perf_counter() - started,
    }


def _prepared(samples: Sequence[Sample], preprocessing: Preprocessing) -> Prepared:
    prepared = Prepared([], [], [])
    for start in range(0, len(samples), PREPARED_AT_ONCE):
        pairs, _ = prepared_samples(samples[start : start + PREPARED_AT_ONCE], preprocessing)
        for sample, image in pairs:
            prepared.samples.append(sample)
            prepared.sizes.append((image.header.width, image.header.height))
            prepared.crops.append(Crops(image.crops, hashlib.sha256(image.content_hash).hexdigest()))
    return prepared


def _labels(samples: Sequence[Sample], classes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([list(classes).index(sample.generator) for sample in samples], dtype=np.int64)


def _temperature(scores: Scores, labels: list[int]) -> float:
    return fit_temperature(torch.from_numpy(np.log(scores.probabilities + 1e-9)), labels)


def _cooled(scores: Scores, temperature: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    logits = torch.from_numpy(np.log(scores.probabilities + 1e-9)) / temperature
    return np.asarray(logits.softmax(1).numpy(), dtype=np.float64)


def _records(answers: Answers) -> list[dict[str, Any]]:
    truths = answers.truths
    return [
        {
            "file": truths.files[row],
            "truth": str(truths.generators[row]),
            "known": bool(answers.known[row]),
            "tier": str(truths.tiers[row]),
            "width": int(truths.sides[row, 0]),
            "height": int(truths.sides[row, 1]),
            "predicted": answers.classes[int(answers.probabilities[row].argmax())],
            "novelty": float(answers.novelty[row]),
            "probabilities": dict(zip(answers.classes, answers.probabilities[row].tolist(), strict=True)),
        }
        for row in range(len(truths))
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--autoencoder", default="madebyollin/taesd", help="hub name or folder of TAESD")
    parser.add_argument("--peer", action="append", choices=list(PEERS))
    parser.add_argument("--protocol", default="neutral", choices=PROTOCOLS)
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument(
        "--epochs", type=int, help="for the peers with a network, instead of their own budget"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    main()
