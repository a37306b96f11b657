"""`leaktrace density`: which density versions there are, back to the one before, and what becomes of everybody's.

A tenant rolls back its own. What concerns everybody needs a key with the scope service:admin; `--database` does without
key and API, straight in the database, as `leaktrace keys` does.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect
from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from leaktrace.client.open_set_answers import Refit
    from leaktrace.records.models import ModelVersion

density = typer.Typer(no_args_is_help=True, help="Density versions: list, promote, roll back, refit.")
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]
DatabaseOption = Annotated[
    bool, typer.Option("--database", help="Straight in the database, without key and API.")
]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="As `density list` shows it.")]


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
    reason: ReasonOption,
    shared: Annotated[bool, typer.Option("--shared", help="The density for everybody.")] = False,
    database: DatabaseOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Go back to the density before; it answers from each worker's next shard on, and is on all within seconds."""
    if database and not shared:
        raise typer.BadParameter("--database rolls back everybody's density: say --shared too")
    if database:
        restored = _roll_back_shared(reason)
    else:
        with connect(url, key) as client:
            restored = client.open_set.roll_back(reason=reason, shared=shared)
    typer.echo(f"in force: {restored or 'the shared density'}")


@density.command("promote")
def promote(
    version: VersionArgument, *, reason: ReasonOption, url: UrlOption = None, key: KeyOption = None
) -> None:
    """Let a density in shadow answer everybody now, by its gates; or one that answered before, again."""
    with connect(url, key) as client:
        asked = client.open_set.promote_density(version, reason=reason)
        _tell(client.open_set.wait_for_refit(asked.id))


@density.command("shadow")
def shadow(
    version: VersionArgument,
    *,
    images: Annotated[int, typer.Option(min=0, help="Show so many images whose answer would change.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show which of your images a density that is or was in shadow would answer otherwise."""
    from itertools import islice

    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        report = client.open_set.shadow(version)
        changed = list(islice(client.open_set.shadow_images(version), images))
    typer.echo(f"{report.images} images judged, {report.flips} of {report.named} named answers would change")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("image", "answered", "p", "would be", "p", "why"):
        table.add_column(title)
    for one in changed:
        numbers = (f"{one.p_before:.3f}", f"{one.p_after:.3f}")
        table.add_row(one.image_id, one.before, numbers[0], one.after, numbers[1], styled(one.reason, ""))
    if changed:
        output().print(table)


@density.command("refit")
def refit(
    *, reason: ReasonOption, database: DatabaseOption = False, url: UrlOption = None, key: KeyOption = None
) -> None:
    """Ask for a refit of the density for everybody now; a worker decides within seconds."""
    if database:
        typer.echo(f"asked for: {_ask_refit(reason)}; see `leaktrace density refits`")
        return
    with connect(url, key) as client:
        _tell(client.open_set.wait_for_refit(client.open_set.ask_refit(reason=reason).id))


@density.command("refits")
def refits(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """List the looks at the density for everybody, also those that changed nothing."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        found = client.open_set.refits()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("at (UTC)", "outcome", "reason", "version"):
        table.add_column(title)
    for one in found:
        version = one.density_version or ""
        table.add_row(f"{one.at:%Y-%m-%d %H:%M}", one.outcome, styled(one.reason, ""), version)
    output().print(table)


@density.command("drift")
def drift(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """Show the newest look at whether images still look as they did; exit code 1 while it raises an alarm."""
    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        report = client.open_set.drift()
    if report.at is None:
        typer.echo("nobody has looked for drift yet")
        return
    typer.echo(f"looked at {report.at:%Y-%m-%d %H:%M} UTC: {len(report.alarms)} alarms")
    for one in report.findings:
        output().print(styled(f"{'ALARM' if one.alarm else 'quiet'}  {one.reason}", ""), soft_wrap=True)
    if report.alarms:
        raise typer.Exit(1)


def serving_model(session: "Session") -> "ModelVersion":
    """The model that workers serve.

    Raises:
        InvalidInput: none has been registered.
    """
    from leaktrace.records.readiness import find_serving_model

    model = find_serving_model(session)
    if model is None:
        raise InvalidInput("no model has been registered; start a worker")
    return model


def _roll_back_shared(reason: str) -> str | None:
    from leaktrace.cli.keys import open_records
    from leaktrace.records.rollback import roll_back

    with open_records() as session:
        model = serving_model(session)
        return roll_back(session, model.version, tenant_id=None, actor="cli", reason=reason)


def _ask_refit(reason: str) -> "UUID":
    from leaktrace.cli.keys import open_records
    from leaktrace.records.refits import ask_refit

    with open_records() as session:
        return ask_refit(session, serving_model(session).version, actor="cli", reason=reason).id


def _tell(decided: "Refit") -> None:
    typer.echo(f"{decided.outcome}: {decided.reason}")
    if decided.outcome == "refused":
        raise typer.Exit(1)
