"""`leaktrace attribute`: verdicts for images on this machine, by the library alone; no server is asked.

Results go to standard output, one table or one JSON record a line; progress and errors go to standard error, so that
the records can be piped. The heavy imports happen inside the command.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leaktrace.cli.failures import FAILED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

Record = dict[str, Any]
STYLES = {"generator": "green", "unseen": "yellow", "inconclusive": "bright_black"}


def attribute(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES_OR_FOLDERS...",
            help="Images, folders with all below them, archives, manifests (CSV with a column `file`).",
        ),
    ],
    *,
    model: Annotated[
        str, typer.Option(help="The name of a model that ships, or a model folder.")
    ] = "starter",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON record a line instead of a table.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or another torch device.")] = "auto",
) -> None:
    """Say which generator made each image, with the library alone.

    A file that cannot be attributed gets a record with its reason and does not stop the others; the exit code is 1
    only when nothing could be attributed.
    """
    from leaktrace.cli.local_attribution import attribution_records, count_sources, sources_in
    from leaktrace.cli.terminal import messages
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.memory import keep_freed_memory

    _check_device(device)
    keep_freed_memory()
    sources = sources_in(paths)
    attributor = Attributor.load(model, device=device)
    attributor.self_test()
    with _progress(messages()) as progress:
        records = _counted(attribution_records(attributor, sources), progress, total=count_sources(paths))
        attributed = _write_lines(records) if as_json else _write_table(records)
    if not attributed:
        messages().print("error: no image could be attributed", style="bold red", soft_wrap=True)
        raise typer.Exit(FAILED)


def _check_device(device: str) -> None:
    """Wrong usage rather than a traceback when torch has no such device here."""
    import torch

    try:
        torch.empty(0, device="cpu" if device == "auto" else device)
    except (RuntimeError, AssertionError) as error:
        raise typer.BadParameter(f"{device} cannot be used here ({error})", param_hint="--device") from error


def _progress(console: "Console") -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("attributed"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=False,
        transient=True,
    )


def _counted(records: Iterable[Record], progress: "Progress", *, total: int | None) -> Iterator[Record]:
    task = progress.add_task("", total=total, rate="")
    for record in records:
        yield record
        speed = progress.tasks[0].speed
        progress.update(task, advance=1, rate=f"{speed:.1f} images/s" if speed else "")


def _write_lines(records: Iterable[Record]) -> int:
    attributed = 0
    for record in records:
        typer.echo(json.dumps(record, allow_nan=False))
        attributed += "verdict" in record
    return attributed


def _write_table(records: Iterable[Record]) -> int:
    """One line a file, so long reasons are cut to the width of the terminal; --json has them whole."""
    from leaktrace.cli.terminal import output, printable

    rows = list(records)
    parent = _common_parent([record["file"] for record in rows])
    table = _empty_table()
    for record in rows:
        _add_row(table, record, name=record["file"].removeprefix(f"{parent}/"))
    if parent:
        output().print(printable(f"in {parent}"), soft_wrap=True)
    output().print(table)
    output().print(printable(_counts(rows)), soft_wrap=True)
    return sum("verdict" in record for record in rows)


def _common_parent(files: list[str]) -> str:
    """The folder that all files are below, written once above the table; nothing when there is none."""
    parents = {os.path.dirname(file) for file in files}  # noqa: PTH120 - the parts of archives are no paths
    try:
        parent = os.path.commonpath(parents) if parents else ""
    except ValueError:
        return ""
    return parent.rstrip("/")


def _empty_table() -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("file", overflow="fold", max_width=40)
    table.add_column("verdict", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("p-value", justify="right", no_wrap=True)
    # The one column that gives way: as wide as the others leave it.
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    return table


def _add_row(table: "Table", record: Record, *, name: str) -> None:
    from leaktrace.cli.terminal import styled

    if "error" in record:
        error = record["error"]
        table.add_row(styled(name, ""), styled(error["code"], "red"), "", "", styled(error["detail"], ""))
        return
    verdict = styled(record["generator"] or record["verdict"], STYLES[record["verdict"]])
    likeliest = f"{max(record['probabilities'].values()):.2f}"
    table.add_row(
        styled(name, ""), verdict, likeliest, f"{record['p_value']:.3f}", styled(record["reason"], "")
    )


def _counts(rows: list[Record]) -> str:
    """How many images got each outcome, the most frequent first."""
    outcomes = Counter(
        "failed" if "error" in record else record["generator"] or record["verdict"] for record in rows
    )
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    return f"{len(rows)} images: {told}" if rows else "no images"
