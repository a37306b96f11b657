"""`leaktrace density`: which density versions there are, and back to the one before.

A tenant rolls back its own through the API. The shared one is the operator's: `--shared` works straight in the
database, as `leaktrace keys` does, so whoever may reach the database may do it, and no key is needed.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from leaktrace.records.models import ModelVersion

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


@density.command("refit")
def refit(*, reason: Annotated[str, typer.Option(help="Why; kept with the refit.")]) -> None:
    """Ask for a refit of the density for everybody now, straight in the database; a worker decides within seconds."""
    from leaktrace.cli.keys import open_records
    from leaktrace.records.refits import ask_refit

    with open_records() as session:
        asked = ask_refit(session, serving_model(session).version, actor="cli", reason=reason)
        typer.echo(f"asked for: {asked.id}; see `leaktrace density refits`")


@density.command("refits")
def refits() -> None:
    """List the refits, also those that changed nothing, straight from the database."""
    from rich.table import Table

    from leaktrace.cli.keys import open_records
    from leaktrace.cli.terminal import output, styled
    from leaktrace.records.refits import list_refits

    with open_records() as session:
        found = list_refits(session, serving_model(session).version)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("at (UTC)", "outcome", "reason", "version"):
        table.add_column(title)
    for one in found:
        version = one.density_version or ""
        table.add_row(f"{one.at:%Y-%m-%d %H:%M}", one.outcome, styled(one.reason, ""), version)
    output().print(table)


def serving_model(session: "Session") -> "ModelVersion":
    """The model that workers serve.

    Raises:
        NothingToRollBack: none has been registered.
    """
    from leaktrace.records.readiness import find_serving_model
    from leaktrace.records.rollback import NothingToRollBack

    model = find_serving_model(session)
    if model is None:
        raise NothingToRollBack("no model has been registered; start a worker")
    return model


def _roll_back_shared(reason: str) -> str | None:
    from leaktrace.cli.keys import open_records
    from leaktrace.records.rollback import roll_back

    with open_records() as session:
        model = serving_model(session)
        return roll_back(session, model.version, tenant_id=None, actor="cli", reason=reason)
