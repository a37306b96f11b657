"""`leaktrace generators`: what the service knows, and the candidates for what it does not know yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from leaktrace.client import Client
    from leaktrace.client.answers import Candidate

generators = typer.Typer(no_args_is_help=True, help="The generators that the service knows.")


@generators.command("list")
def list_generators(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """List the known generators."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        known = client.generators()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("generator")
    table.add_column("images", justify="right")
    table.add_column("median p-value", justify="right")
    for generator in known:
        middle = "" if generator.median_p_value is None else f"{generator.median_p_value:.3f}"
        table.add_row(styled(generator.name, ""), str(generator.images), middle)
    output().print(table)


@generators.command("candidates")
def list_candidates(
    *,
    thumbnails: Annotated[
        Path | None, typer.Option(help="Save the typical images of each candidate in this folder.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List groups of unseen images that may be generators without a name."""
    from rich.table import Table

    from leaktrace.cli.terminal import output

    with connect(url, key) as client:
        found = client.candidates()
        if thumbnails is not None:
            _save_thumbnails(client, found, thumbnails)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("candidate", "images", "growth", "confidence", "stability", "nearest known", "batches"):
        table.add_column(title)
    for one in found:
        numbers = (str(one.size), f"{one.growth:+d}", f"{one.confidence:.2f}", f"{one.stability:.2f}")
        table.add_row(one.id, *numbers, one.nearest_generator, str(one.sources.get("batches", "")))
    output().print(table)


def _save_thumbnails(client: "Client", found: "list[Candidate]", folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        for number in range(len(one.medoids)):
            (folder / f"{one.id}-{number}.jpg").write_bytes(client.medoid(one.id, number))
