"""`leaktrace generators list`: what the service's model knows, and how much was attributed to each."""

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

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
