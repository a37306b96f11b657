"""`leaktrace compare`: two evaluation runs side by side, with paired significance on the images that both judged.

Knows nothing of how a figure is computed.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def compare(
    first: Annotated[Path, typer.Argument(help="A JSON file of `leaktrace evaluate`.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same data.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the comparison.")] = None,
) -> None:
    """Compare two runs image by image: a paired bootstrap of every figure, and McNemar's test of top-1.

    A file over several models stands for the mean of its models; McNemar's test takes the first of them.
    """
    from leaktrace.cli.evaluation_tables import show_comparison
    from leaktrace.science.training.runs import compare as compare_runs
    from leaktrace.science.training.runs import read_run

    comparison = compare_runs(read_run(first), read_run(second))
    if json_file is not None:
        json_file.write_text(json.dumps(comparison, indent=1), encoding="utf-8")
    show_comparison(comparison, Console())
