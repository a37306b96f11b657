"""`leaktrace train`: labelled images in, a model folder out, with one progress bar for the stage that runs.

The heavy imports happen inside the command, so that `leaktrace --help` stays quick. Knows nothing of how a stage
works.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from leaktrace.science.training.train import Recipe

DataArgument = Annotated[
    Path, typer.Argument(help="A manifest.csv, its folder, or a folder of generator/images.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Processor threads to compute with.")]


def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The model folder to write; a stopped training goes on from it.")],
    name: Annotated[str, typer.Option(help="The model's name, the first part of its version.")] = "own",
    teacher: Annotated[
        str, typer.Option(help="The autoencoder to distil: a hub name or a folder.")
    ] = "madebyollin/taesd",
    latents: Annotated[
        str | None, typer.Option(help="Read this autoencoder's latents instead of distilling one.")
    ] = None,
    trace: Annotated[bool, typer.Option(help="Train the trace stream beside the picture latents.")] = True,
    hold_out: Annotated[
        bool, typer.Option(help="Leave every fifth training prompt out, to choose between recipes on.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of the training stage.")] = None,
    refine_epochs: Annotated[
        int | None, typer.Option(min=0, help="Epochs of the refining stage; 0 leaves it out.")
    ] = None,
    strangers: Annotated[
        int | None, typer.Option(min=0, help="Made-up generators' images to practise on; 0 leaves that out.")
    ] = None,
    blocks: Annotated[bool, typer.Option(help="Read the statistics of blocks beside the networks.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, crops and noise.")] = 0,
    threads: ThreadsOption = 2,
) -> None:
    """Train a model: distil a latent encoder, train ProtoLeakNet, fit temperature, density and calibration."""
    import torch

    from leaktrace.science.memory import keep_freed_memory
    from leaktrace.science.training.dataset import read_dataset
    from leaktrace.science.training.train import train_model

    keep_freed_memory()
    torch.set_num_threads(threads)
    recipe = replace(_recipe(latents, trace=trace), name=name, teacher=teacher, hold_out=hold_out, seed=seed)
    if epochs is not None:
        recipe = replace(recipe, train=replace(recipe.train, epochs=epochs))
    if refine_epochs is not None:
        recipe = replace(recipe, refine=replace(recipe.refine, epochs=refine_epochs))
    if strangers is not None:
        recipe = replace(recipe, strangers=strangers)
    if not blocks:
        recipe = replace(recipe, blocks=None)
    with reporting() as report:
        card = train_model(read_dataset(data), out, recipe=recipe, report=report)
    typer.echo(f"{out}: {card['name']}, {len(card['model']['classes'])} classes, self-test passed")


def _recipe(latents: str | None, *, trace: bool) -> "Recipe":
    from leaktrace.science.training.train import Recipe

    recipe = Recipe()
    streams = recipe.latents
    if latents is not None:
        streams = replace(streams, picture=None, source=latents)
    if not trace:
        streams = replace(streams, trace=None)
    return replace(recipe, latents=streams)


@contextmanager
def reporting() -> Iterator[Callable[[str, float, float], None]]:
    """One progress bar for a long computation; gives the callback that stages report their share and loss to."""
    columns = (
        TextColumn("{task.description:>22}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[loss]:>12}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("reading", total=1.0, loss="")

        def report(stage: str, share: float, loss: float) -> None:
            if not progress.console.is_terminal:  # a log gets one line a report
                progress.console.print(f"{stage} {share:.0%} {loss:.4f}")
            if progress.tasks[task].description != stage:
                progress.reset(task, description=stage)
            progress.update(task, completed=share, loss=f"loss {loss:.4f}" if loss else "")

        yield report
