"""`leaktrace cancel` and `leaktrace retry`: stop a batch, or take up again what failed in it."""

from typing import Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect


def cancel(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Cancel a batch: what has not begun is dropped, what is under way is finished."""
    from leaktrace.cli.terminal import output

    with connect(url, key) as client:
        batch = client.cancel(batch_id)
    counts = batch.counts
    output().print(
        f"{batch.state}: {counts.cancelled} cancelled, {counts.succeeded} had succeeded", soft_wrap=True
    )


def retry(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried again.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Try the failed images of a completed batch again."""
    from leaktrace.cli.terminal import output, printable

    with connect(url, key) as client:
        answer = client.retry(batch_id, dry_run=dry_run)
    verb = "are tried again" if answer.executed else "would be tried again"
    reasons = ", ".join(f"{count} {printable(code)}" for code, count in sorted(answer.codes.items()))
    output().print(f"{answer.count} images {verb}" + (f": {reasons}" if reasons else ""), soft_wrap=True)
