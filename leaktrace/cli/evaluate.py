"""`leaktrace evaluate`: a model's figures on images it has never seen, as a table and as JSON.

The heavy imports happen inside the command, so that `leaktrace --help` stays quick. Knows nothing of how a figure is
computed.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from leaktrace.cli.train import reporting


class ProtocolName(StrEnum):
    """How images are cut and re-encoded before they are judged."""

    neutral = "neutral"
    paper = "paper"
    native = "native"
    scrambled = "scrambled"


def evaluate(
    data: Annotated[
        Path, typer.Argument(help="A manifest.csv, its folder, or a folder of generator/images.")
    ],
    model: Annotated[str, typer.Option(help="A model folder, or the name of a shipped model.")] = "starter",
    protocol: Annotated[ProtocolName, typer.Option(help="How images are prepared.")] = ProtocolName.neutral,
    tier: Annotated[
        list[str] | None, typer.Option(help="A named set of unseen generators: near=sd-1.4,other.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures and one record an image.")
    ] = None,
    into_card: Annotated[
        bool, typer.Option(help="Write the figures into the model's card, under this protocol's name.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to compute with.")] = 2,
) -> None:
    """Judge a model on the test and open images of DATA; images that made the model are left out."""
    import torch

    from leaktrace.science.attributor import Attributor
    from leaktrace.science.training.dataset import read_dataset
    from leaktrace.science.training.evaluate import evaluate as judge
    from leaktrace.science.training.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads)
    tiers = _tiers(tier or [])
    attributor = Attributor.load(model)
    with reporting() as report:
        figures = judge(read_dataset(data), attributor, protocol=protocol.value, tiers=tiers, report=report)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if into_card:
        _write_into_card(model, figures)
    _show(figures)


def _tiers(options: list[str]) -> dict[str, list[str]]:
    tiers = {}
    for option in options:
        name, separator, generators = option.partition("=")
        if not (name and separator and generators):
            raise typer.BadParameter(f"{option!r} is not NAME=GENERATOR,GENERATOR", param_hint="--tier")
        tiers[name] = generators.split(",")
    return tiers


def _write_into_card(model: str, figures: dict[str, Any]) -> None:
    from leaktrace.science.model_folder import read_card, resolve_folder, write_card

    folder = resolve_folder(model)
    card = read_card(folder)
    kept = {key: value for key, value in figures.items() if key != "records"}
    card.setdefault("metrics", {})[figures["protocol"]] = kept
    write_card(folder, card)


def _show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"{figures['model']}, protocol {figures['protocol']}: {figures['images']} images, "
        f"{figures['left_out_because_they_made_the_model']} left out, {len(figures['refused'])} refused"
    )
    sets = {"closed set": figures["closed_set"], **figures["groups"]}
    for title, closed in sets.items():
        if closed is not None:
            console.print(_closed_table(f"{title} ({closed['images']} images)", closed))
    if figures["open_set"]:
        console.print(_open_table(figures["open_set"]))
    console.print(_alarm_table(figures["false_alarms"]))


def _closed_table(title: str, closed: dict[str, Any]) -> Table:
    table = Table("figure", "value", "95 % interval", title=title)
    for name, figure in closed.items():
        if isinstance(figure, dict) and "low" in figure:
            table.add_row(name, f"{figure['value']:.4f}", f"{figure['low']:.4f} to {figure['high']:.4f}")
    for name, auc in closed.get("class_auc", {}).items():
        table.add_row(f"AUC {name}", f"{auc:.4f}", "")
    return table


def _open_table(unseen: dict[str, Any]) -> Table:
    table = Table("unseen generator", "images", "AUROC", "95 % interval", "called unseen", title="open set")
    for name, figure in unseen.items():
        interval = f"{figure['low']:.3f} to {figure['high']:.3f}"
        table.add_row(
            name,
            str(figure["images"]),
            f"{figure['value']:.3f}",
            interval,
            f"{figure['called_unseen']:.0%}",
        )
    return table


def _alarm_table(alarms: dict[str, Any]) -> Table:
    title = f"conformal false alarms at alpha = {alarms['alpha']}"
    table = Table("generator", "images", "rate", "alpha + two standard errors", title=title)
    for name, alarm in alarms.items():
        if isinstance(alarm, dict):
            limit = alarms["alpha"] + alarm["two_standard_errors"]
            table.add_row(name, str(alarm["images"]), f"{alarm['rate']:.3f}", f"{limit:.3f}")
    return table
