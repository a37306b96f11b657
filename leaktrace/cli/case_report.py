"""`leaktrace report image|batch|verify`: case reports for somebody else, and the check that one was not changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect
from leaktrace.cli.results import write_to_file
from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from leaktrace.casefile import Verified

report = typer.Typer(help="Case reports under a hash chain.", no_args_is_help=True)
OutOption = Annotated[Path | None, typer.Option(help="Write to this file.")]


class OtherReport(InvalidInput):
    """The chain holds, but it is not that of the report that was meant."""

    code = "other_report"


@report.command()
def image(
    image_id: Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id, as results give it.")],
    *,
    out: OutOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Save the case report of one image."""
    with connect(url, key) as client:
        path = out or Path(f"report-image-{image_id}.html")
        write_to_file(client.image_report(image_id), path)
    _say(path)


@report.command()
def batch(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    out: OutOption = None,
    pictures: Annotated[bool, typer.Option(help="With small pictures.")] = True,
    provenance: Annotated[bool, typer.Option(help="With what each file says of its origin.")] = True,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Save the case report of a batch."""
    with connect(url, key) as client:
        path = out or Path(f"report-batch-{batch_id}.html")
        write_to_file(client.batch_report(batch_id, pictures=pictures, provenance=provenance), path)
    _say(path)


@report.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    *,
    final: Annotated[
        str | None, typer.Option(help="The final hash that the report had when it was made.")
    ] = None,
) -> None:
    """Recompute every hash of a case report; the first entry that does not hold is named."""
    from leaktrace.casefile import verify as verify_file

    found = verify_file(file)
    if final is not None and final.strip().lower() != found.final_hash:
        raise OtherReport(f"the chain holds, but its final hash is {found.final_hash}: it is another report")
    typer.echo(_words(found))


def _say(path: Path) -> None:
    from leaktrace.casefile import verify as verify_file

    typer.echo(f"{path}: {_words(verify_file(path))}")


def _words(found: "Verified") -> str:
    images = f"{found.images:,} image{'' if found.images == 1 else 's'}"
    return f"the chain of {found.entries:,} entries holds, {images}, final hash {found.final_hash}"
