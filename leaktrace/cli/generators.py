"""`leaktrace generators`: what the service knows, and the candidates for what it does not know yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from leaktrace.client import Client
    from leaktrace.client.answers import Candidate, Enrolment

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
    """List groups of images without a name that may come from one new generator each."""
    from rich.table import Table

    from leaktrace.cli.terminal import output

    with connect(url, key) as client:
        found = client.open_set.candidates()
        if thumbnails is not None:
            _save_thumbnails(client, found, thumbnails)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("candidate", "images", "growth", "confidence", "stability", "nearest known", "batches"):
        table.add_column(title)
    for one in found:
        numbers = (str(one.size), f"{one.growth:+d}", f"{one.confidence:.2f}", f"{one.stability:.2f}")
        table.add_row(one.id, *numbers, one.nearest_generator, str(one.sources.get("batches", "")))
    output().print(table)


@generators.command("enrol")
def enrol(
    name: Annotated[str, typer.Argument(help="The generator's name from now on.")],
    *,
    reason: Annotated[str, typer.Option(help="Why it is this generator; kept.")],
    candidate: Annotated[str | None, typer.Option(help="A candidate's id.")] = None,
    batch: Annotated[str | None, typer.Option(help="A batch of at least 50 images of it.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Name the generator of a candidate's or a batch's images, and wait for the decision."""
    if (candidate is None) == (batch is None):
        raise typer.BadParameter("give either --candidate or --batch")
    with connect(url, key) as client:
        if candidate is not None:
            asked = client.open_set.enrol_candidate(candidate, name, reason=reason)
        else:
            asked = client.open_set.enrol_batch(str(batch), name, reason=reason)
        _tell(client.open_set.wait(asked.id))


@generators.command("undo")
def undo(
    name: Annotated[str, typer.Argument(help="An enrolled generator.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Take an enrolled generator back."""
    with connect(url, key) as client:
        _tell(client.open_set.wait(client.open_set.undo(name, reason=reason).id))


@generators.command("merge")
def merge(
    name: Annotated[str, typer.Argument(help="An enrolled generator.")],
    into: Annotated[str, typer.Argument(help="The enrolled generator that it becomes part of.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Make an enrolled generator part of another one."""
    with connect(url, key) as client:
        _tell(client.open_set.wait(client.open_set.merge(name, into=into, reason=reason).id))


@generators.command("split")
def split(
    name: Annotated[str, typer.Argument(help="An enrolled generator.")],
    new_name: Annotated[str, typer.Argument(help="The generator that these images make.")],
    images: Annotated[list[str], typer.Argument(help="Ids of the images, as results give them.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Make some images of an enrolled generator another one."""
    with connect(url, key) as client:
        asked = client.open_set.split(name, images, new_name=new_name, reason=reason)
        for one in asked:
            _tell(client.open_set.wait(one.id))


@generators.command("promote")
def promote(
    name: Annotated[str, typer.Argument(help="A generator that your tenant enrolled.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Make an enrolled generator everybody's, by the gates and through shadow; see `generators enrolments`."""
    with connect(url, key) as client:
        asked = client.open_set.promote(name, reason=reason)
    typer.echo(f"{asked.name}: asked for; it answers once it has passed the gates and the shadow")


@generators.command("demote")
def demote(
    name: Annotated[str, typer.Argument(help="A generator that was promoted.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Take a promotion back: the generator is its tenant's own again."""
    with connect(url, key) as client:
        _tell(client.open_set.wait(client.open_set.demote(name, reason=reason).id))


@generators.command("enrolments")
def list_enrolments(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """List what was asked for, enrolments and promotions, and what became of it, the newest first."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        found = client.open_set.enrolments()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("generator", "for", "state", "asked (UTC)", "outcome"):
        table.add_column(title)
    for one in found:
        asked, whose = f"{one.created_at:%Y-%m-%d %H:%M}", "everybody" if one.shared else "the tenant"
        table.add_row(one.name, whose, one.state, asked, styled(one.outcome or "", ""))
    output().print(table)


def _tell(enrolment: "Enrolment") -> None:
    typer.echo(f"{enrolment.name}: {enrolment.state} ({enrolment.outcome})")
    for gate in enrolment.gates:
        typer.echo(f"  {'passed' if gate['passed'] else 'FAILED'}  {gate['name']}: {gate['detail']}")
    if enrolment.state == "refused":
        raise typer.Exit(1)


def _save_thumbnails(client: "Client", found: "list[Candidate]", folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        for number in range(len(one.medoids)):
            (folder / f"{one.id}-{number}.jpg").write_bytes(client.open_set.medoid(one.id, number))
