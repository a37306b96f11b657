"""`leaktrace submit`: folders, archives and files become a batch, which is waited for unless that is not wanted.

The same command again goes on with an upload that broke off, whatever ended it. Ctrl-C leaves a batch that is complete
to the service, and says how to come back to it.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect
from leaktrace.cli.failures import FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from leaktrace.client import Client, Submission

INTERRUPTED = 130
SHOWN_REFUSALS = 20
SUMMARISED_IMAGES = 20_000


def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER_OR_ARCHIVE", help="Folders, zip or tar archives, images."),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="A name for the batch.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="BATCH", help="Go on with this batch, begun on another machine or as another user."
        ),
    ] = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Begin a new batch although an upload of the same folders broke off."),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the verdicts.")] = True,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Submit images and, unless --no-wait, wait for their verdicts.

    Folders are walked with all below them; the relative path is the id under which a result comes back. If an earlier
    submission of the same folders broke off, it is gone on with, and only what has not arrived is sent. The exit code
    is 0 when the batch completed (or, with --no-wait, was handed over), also if single images failed.
    """
    from leaktrace.cli.terminal import messages

    console = messages()
    total = _count(paths)
    with connect(url, key) as client:
        submission = _begin(client, paths, name=name, resume=resume, new=new)
        try:
            _run(client, submission, paths=paths, total=total, console=console, wait=wait)
        except KeyboardInterrupt:
            console.print(_way_back(submission, paths), soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
        _tell_outcome(client, submission, console=console)
        if not submission.accepted or (wait and submission.batch.state != "completed"):
            raise typer.Exit(FAILED)


def _begin(
    client: "Client", paths: list[Path], *, name: str | None, resume: str | None, new: bool
) -> "Submission":
    """The batch that is named, or that a broken upload of the same folders left, or a new one."""
    from leaktrace.cli.journals import journal_path
    from leaktrace.client import Submission

    if resume:
        return Submission(client.batch(resume), begun_before=True)
    journal = journal_path(client.url, paths)
    if new:
        journal.unlink(missing_ok=True)
    return client.begin_submission(paths, name=name, journal=journal)


def _count(paths: list[Path]) -> int | None:
    """How many images there are, if that can be told at once; raises NoSource before anything is sent."""
    from leaktrace.client.sources import NoSource, count_images, files_in_all

    files_in_all(paths)
    total = count_images(paths)
    if total == 0:
        raise NoSource(f"there is no image in {', '.join(str(path) for path in paths)}")
    return total


def _run(
    client: "Client",
    submission: "Submission",
    *,
    paths: list[Path],
    total: int | None,
    console: "Console",
    wait: bool,
) -> None:
    from leaktrace.cli.progress import Tally, shown_progress
    from leaktrace.cli.submission import await_outcome, upload_all
    from leaktrace.client.sources import files_in_all

    tally = Tally(total=total)
    batch = submission.batch
    console.print(f"batch {batch.id}", soft_wrap=True)
    if submission.begun_before:
        begun = f"{batch.created_at:%Y-%m-%d %H:%M} UTC"
        console.print(
            f"going on with the upload begun at {begun}; --new begins another batch", soft_wrap=True
        )
    with shown_progress(console, tally) as changed:
        upload_all(client, submission, files=files_in_all(paths), tally=tally, changed=changed)
        if wait:
            await_outcome(client, submission, tally=tally, changed=changed)


def _tell_outcome(client: "Client", submission: "Submission", *, console: "Console") -> None:
    from leaktrace.cli.summary import summarise, summary_table
    from leaktrace.cli.terminal import output, printable

    for answer in submission.refused[:SHOWN_REFUSALS]:
        reason = f"{answer.error.code}: {answer.error.detail}" if answer.error else "refused"
        console.print(
            f"refused {printable(answer.custom_id)}: {printable(reason)}", style="red", soft_wrap=True
        )
    if len(submission.refused) > SHOWN_REFUSALS:
        console.print(f"and {len(submission.refused) - SHOWN_REFUSALS} more were refused", style="red")
    batch = submission.batch
    if not submission.accepted:
        console.print("no image was accepted; nothing to attribute", style="bold red")
    elif not batch.is_finished:
        console.print(f"handed over; see it with: leaktrace status {batch.id}", soft_wrap=True)
    elif batch.counts.total <= SUMMARISED_IMAGES:
        output().print(summary_table(summarise(client.results(batch.id), submission.refused)))
    if batch.is_finished and submission.accepted:
        console.print(f"{batch.state}; all results: leaktrace results {batch.id}", soft_wrap=True)


def _way_back(submission: "Submission", paths: list[Path]) -> str:
    batch = submission.batch
    if batch.state == "uploading":
        again = shlex.join(str(path) for path in paths)
        return f"interrupted; the same command goes on: leaktrace submit {again}"
    return f"interrupted; the batch goes on without you: leaktrace status {batch.id}"
