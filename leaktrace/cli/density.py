"""`leaktrace density`: which density versions there are, and back to the one before.

A tenant rolls back its own through the API. The shared one is the operator's: `--shared` works straight in the
database, as `leaktrace keys` does, so whoever may reach the database may do it, and no key is needed.
"""

from typing import Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

density = typer.Typer(no_args_is_help=True, help="Density versions: list them, roll one back.")


@density.command("list")
def list_versions(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """List the density versions of the serving model, the newest first."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        found = client.open_set.densities()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("version", "scope", "state", "known images", "made (UTC)", "reason"):
        table.add_column(title)
    for one in found:
        made = f"{one.created_at:%Y-%m-%d %H:%M}"
        table.add_row(one.version, one.scope, one.state, str(one.known_images), made, styled(one.reason, ""))
    output().print(table)


@density.command("rollback")
def rollback(
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
    shared: Annotated[
        bool, typer.Option("--shared", help="The density for everybody, straight in the database.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Go back to the density before; workers follow at their next shard."""
    if shared:
        restored = _roll_back_shared(reason)
    else:
        with connect(url, key) as client:
            restored = client.open_set.roll_back(reason=reason)
    typer.echo(f"in force: {restored or 'the shared density'}")


def _roll_back_shared(reason: str) -> str | None:
    from leaktrace.cli.keys import open_records
    from leaktrace.records.readiness import find_serving_model
    from leaktrace.records.rollback import NothingToRollBack, roll_back

    with open_records() as session:
        model = find_serving_model(session)
        if model is None:
            raise NothingToRollBack("no model has been registered")
        return roll_back(session, model.version, tenant_id=None, actor="cli", reason=reason)
