"""`leaktrace evaluate`: a model's figures on images it has never seen, as a table, as JSON and as one HTML page.

The heavy imports happen inside the command, so that `leaktrace --help` stays quick. Knows nothing of how a figure is
computed.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from leaktrace.cli.train import DataArgument, ThreadsOption, reporting

if TYPE_CHECKING:
    from leaktrace.science.training.evaluate import Plan

# A card names what a model is worth; the run's own file has the rest.
KEPT_IN_CARD = (
    "model",
    "density",
    "protocol",
    "manifest_sha256",
    "images",
    "left_out_because_they_made_the_model",
    "closed_set",
    "groups",
    "open_set",
    "false_alarms",
    "controls",
)


class ProtocolName(StrEnum):
    """How images are cut and re-encoded before they are judged."""

    neutral = "neutral"
    paper = "paper"
    native = "native"
    scrambled = "scrambled"


def evaluate(
    data: DataArgument,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model folder or the name of a shipped model; several give mean and spread."),
    ] = None,
    protocol: Annotated[ProtocolName, typer.Option(help="How images are prepared.")] = ProtocolName.neutral,
    tier: Annotated[
        list[str] | None,
        typer.Option(help="A named set of unseen generators: near=sd-1.4,other. Replaces the built-in ones."),
    ] = None,
    robustness: Annotated[
        int, typer.Option(min=0, help="Post-process this many images of each known generator; 0: none.")
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures and one record an image.")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write one HTML page that loads nothing.")
    ] = None,
    into_card: Annotated[
        bool, typer.Option(help="Write the figures into the model's card, under this protocol's name.")
    ] = False,
    threads: ThreadsOption = 2,
) -> None:
    """Judge models on the test and open images of DATA; images that made a model are left out.

    DATA without a split column, or a plain folder, is judged whole. A generator that the model does not know is unseen
    ground truth. `leaktrace compare` puts two JSON files side by side.
    """
    from leaktrace.cli.evaluation_tables import show

    models = model or ["starter"]
    runs = _judged(data, models, plan=_plan(protocol, tier, robustness=robustness), threads=threads)
    if json_file is not None:
        _write_json(json_file, runs)
    if report_file is not None:
        _write_report(report_file, runs, data=data)
    if into_card:
        for name, run in zip(models, runs, strict=True):
            _write_into_card(name, run)
    show(runs, Console())


def _plan(protocol: ProtocolName, tier: list[str] | None, *, robustness: int) -> "Plan":
    from leaktrace.science.training.evaluate import Plan
    from leaktrace.science.training.figures import KNOWN_TIERS

    return Plan(protocol.value, _tiers(tier) if tier else KNOWN_TIERS, robustness)


def _judged(data: Path, models: list[str], *, plan: "Plan", threads: int) -> list[dict[str, Any]]:
    import torch

    from leaktrace.science.attributor import Attributor
    from leaktrace.science.memory import keep_freed_memory
    from leaktrace.science.training.dataset import read_dataset
    from leaktrace.science.training.evaluate import evaluate as judge
    from leaktrace.science.training.evaluate import survey_dataset, used_files

    keep_freed_memory()
    torch.set_num_threads(threads)
    attributors = [Attributor.load(one) for one in models]
    dataset = read_dataset(data)
    with reporting() as report:
        surveys = survey_dataset(dataset, used=used_files(attributors), report=report)
        return [judge(dataset, one, plan=plan, report=report, surveys=surveys) for one in attributors]


def _tiers(options: list[str]) -> dict[str, tuple[str, ...]]:
    tiers = {}
    for option in options:
        name, separator, generators = option.partition("=")
        if not (name and separator and generators):
            raise typer.BadParameter(f"{option!r} is not NAME=GENERATOR,GENERATOR", param_hint="--tier")
        tiers[name] = tuple(generators.split(","))
    return tiers


def _write_json(file: Path, runs: list[dict[str, Any]]) -> None:
    from leaktrace.science.training.runs import joined

    file.write_text(json.dumps(joined(runs), indent=1), encoding="utf-8")


def _write_report(file: Path, runs: list[dict[str, Any]], *, data: Path) -> None:
    from leaktrace.cli.evaluation_report import build_page

    file.write_text(build_page(runs, data), encoding="utf-8")


def _write_into_card(model: str, run: dict[str, Any]) -> None:
    from leaktrace.science.model_folder import read_card, resolve_folder, write_card

    folder = resolve_folder(model)
    card = read_card(folder)
    card.setdefault("metrics", {})[run["protocol"]] = {key: run[key] for key in KEPT_IN_CARD}
    write_card(folder, card)
