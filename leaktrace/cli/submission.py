"""Takes files through the service: a batch, the upload, the close, the wait; what `submit` and `demo` share.

Every file is sent in one pass over the source, so an archive is read once. Knows nothing of the command line.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from leaktrace.cli.progress import Tally
from leaktrace.client import Batch, Client, FileAnswer
from leaktrace.client.files import SourceFile

LONGEST_PAUSE_SECONDS = 1.0  # somebody is watching


@dataclass
class Submission:
    """A batch on its way: what was refused at the door, and how it stands."""

    batch: Batch
    accepted: int = 0
    refused: list[FileAnswer] = field(default_factory=list)


def upload_all(
    client: Client,
    submission: Submission,
    *,
    files: Iterable[SourceFile],
    tally: Tally,
    changed: Callable[[], None],
) -> None:
    """Upload into the submission's batch and close it; a file that is refused does not stop the others."""
    for answer in client.upload(submission.batch.id, files):
        if answer.status == "refused":
            submission.refused.append(answer)
        else:
            submission.accepted += 1
        tally.file_answered()
        changed()
    tally.upload_ended()
    submission.batch = client.close(submission.batch.id)
    changed()


def await_outcome(
    client: Client, submission: Submission, *, tally: Tally, changed: Callable[[], None]
) -> None:
    """Wait until the batch is finished, telling the tally."""

    def on_progress(batch: Batch) -> None:
        tally.batch_seen(batch)
        changed()

    submission.batch = client.wait(
        submission.batch.id, on_progress=on_progress, longest_pause_seconds=LONGEST_PAUSE_SECONDS
    )
