"""`leaktrace label IMAGE confirm|correct|appeal`: what a person says of an image, kept beside the model's verdict."""

from enum import StrEnum
from typing import Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect


class Kind(StrEnum):
    """What the person does."""

    confirm = "confirm"
    correct = "correct"
    appeal = "appeal"


def label(
    image_id: Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id, as results give it.")],
    kind: Kind,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with the label.")],
    generator: Annotated[
        str | None, typer.Option(help="Who made it. A correction without says: no known generator.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Confirm or correct the verdict of an image, or appeal against it."""
    if kind is Kind.confirm and generator is not None:
        raise typer.BadParameter("a confirmation takes the model's own generator; use `correct` for another")
    with connect(url, key) as client:
        said = client.label(image_id, kind.value, reason=reason, generator=generator)
    typer.echo(f"{said.kind} {said.generator or 'no known generator'} for {said.sha256}")
