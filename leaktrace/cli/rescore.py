"""`leaktrace rescore`: judge a batch, or a range of time, again by what is in force, and show what differs."""

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leaktrace.client.open_set_answers import Rescore, RescoredItem

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def rescore(
    batch: Annotated[str | None, typer.Argument(metavar="BATCH", help="A batch's id.")] = None,
    *,
    since: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Or submitted from then on (UTC)")
    ] = None,
    until: Annotated[datetime | None, typer.Option(formats=TIMES, help="and before then (UTC).")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")] = "asked for",
    show: Annotated[int, typer.Option(min=0, help="Show so many of the items that differ.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Judge images again by the model and density in force; answers that were given stay as they are."""
    if (batch is None) == (since is None) or (until is not None and since is None):
        raise typer.BadParameter("give either a batch or --since, and --until if you like")
    with connect(url, key) as client:
        if since is not None:
            ended = until.replace(tzinfo=UTC) if until is not None else None
            started = since.replace(tzinfo=UTC)
            asked = client.rescoring.submitted(since=started, until=ended, reason=reason)
        else:
            asked = client.rescoring.batch(str(batch), reason=reason)
        done = client.rescoring.wait(asked.id)
        _show(done, islice(client.rescoring.items(done.id), show))
    if done.state == "failed":
        raise typer.Exit(1)


def _show(done: "Rescore", items: "Iterable[RescoredItem]") -> None:
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    typer.echo(
        f"{done.id} {done.state}: {done.flips} of {done.judged} answers differ by {done.density_version}"
    )
    if done.error is not None:
        typer.echo(done.error)
    summary = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("items", "before", "after", "cause"):
        summary.add_column(title)
    for change in done.changes:
        summary.add_row(str(change.items), change.before, change.after, change.cause)
    output().print(summary)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("item", "before", "p", "after", "p", "cause"):
        table.add_column(title)
    for one in items:
        p_after = "" if one.p_after is None else f"{one.p_after:.3f}"
        name = styled(one.custom_id, "")
        table.add_row(name, one.before, f"{one.p_before:.3f}", one.after, p_after, one.cause)
    if table.row_count:
        output().print(table)
