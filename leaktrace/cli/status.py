"""`leaktrace status`: how one batch stands, or which batches there are; `--follow` waits for one."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from rich.table import Table

    from leaktrace.client import Batch, Client


def status(
    batch_id: Annotated[
        str | None, typer.Argument(metavar="[BATCH]", help="All batches when left out.")
    ] = None,
    *,
    follow: Annotated[bool, typer.Option(help="Show progress until the batch is finished.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many batches are listed, the newest first.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show how a batch stands, or list the newest batches."""
    from leaktrace.cli.terminal import output

    with connect(url, key) as client:
        if batch_id is None:
            output().print(_listed(list(islice(client.batches(), limit))))
            return
        batch = _followed(client, batch_id) if follow else client.batch(batch_id)
        output().print(_described(batch))


def _followed(client: "Client", batch_id: str) -> "Batch":
    from leaktrace.cli.progress import Tally, shown_progress
    from leaktrace.cli.submission import await_outcome
    from leaktrace.cli.terminal import messages
    from leaktrace.client import Submission

    submission = Submission(client.batch(batch_id))
    tally = Tally(total=None, uploaded=submission.batch.counts.total)
    tally.upload_ended()
    with shown_progress(messages(), tally) as changed:
        await_outcome(client, submission, tally=tally, changed=changed)
    return submission.batch


def _described(batch: "Batch") -> "Table":
    from rich.table import Table

    from leaktrace.cli.terminal import styled

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("batch", batch.id)
    table.add_row("name", styled(batch.name or "", ""))
    table.add_row("state", styled(batch.state, _style(batch.state)))
    if batch.error:
        table.add_row("error", styled(str(batch.error), "red"))
    for name, count in batch.counts:
        table.add_row(name, str(count))
    table.add_row("created", f"{batch.created_at:%Y-%m-%d %H:%M:%S} UTC")
    return table


def _listed(batches: "list[Batch]") -> "Table":
    from rich.table import Table

    from leaktrace.cli.terminal import styled

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("batch", "name", "state"):
        table.add_column(title, no_wrap=title == "batch")
    for title in ("total", "succeeded", "failed"):
        table.add_column(title, justify="right")
    table.add_column("created (UTC)")
    for batch in batches:
        counts = [str(count) for count in (batch.counts.total, batch.counts.succeeded, batch.counts.failed)]
        state = styled(batch.state, _style(batch.state))
        table.add_row(
            batch.id, styled(batch.name or "", ""), state, *counts, f"{batch.created_at:%m-%d %H:%M}"
        )
    return table


def _style(state: str) -> str:
    return {"completed": "green", "failed": "red", "expired": "red", "cancelled": "yellow"}.get(state, "cyan")
