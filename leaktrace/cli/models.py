"""`leaktrace models`: which model versions there are, and retiring those that are done with.

Straight in the database, as `leaktrace keys`: whoever may reach it may do it. Results stay; the model's index goes, and
comes back when a worker starts with the model again.
"""

from typing import Annotated

import typer

models = typer.Typer(no_args_is_help=True, help="Model versions, straight in the database.")


@models.command("list")
def list_versions() -> None:
    """List the model versions, the newest first."""
    from rich.table import Table

    from leaktrace.cli.keys import open_records
    from leaktrace.cli.terminal import output, styled
    from leaktrace.records.registry import list_models

    with open_records() as session:
        found = list_models(session)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("version", "registered (UTC)", "state"):
        table.add_column(title)
    for one in found:
        state = "in use" if one.retired_at is None else f"retired {one.retired_at:%Y-%m-%d}"
        table.add_row(styled(one.version, ""), f"{one.registered_at:%Y-%m-%d %H:%M}", state)
    output().print(table)


@models.command("retire")
def retire(version: Annotated[str, typer.Argument(help="As `models list` shows it.")]) -> None:
    """Retire a model version that no worker runs and drop its index. May be repeated when it was broken off."""
    from leaktrace.cli.local_stack import local_settings
    from leaktrace.records.database import connect_database, transaction
    from leaktrace.records.embedding_index import drop_embedding_index
    from leaktrace.records.registry import retire_model

    engine = connect_database(local_settings())
    try:
        with transaction(engine) as session:
            retire_model(session, version, actor="cli")
        drop_embedding_index(engine, version)
    finally:
        engine.dispose()
    typer.echo(f"retired {version}")
