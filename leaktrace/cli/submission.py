"""Takes files through the service while somebody watches; what `submit`, `status` and `demo` share.

Every file is sent in one pass over the source, so an archive is read once. Knows nothing of the command line.
"""

from collections.abc import Callable, Iterable

from leaktrace.cli.progress import Tally
from leaktrace.client import Batch, Client, FileAnswer, Submission
from leaktrace.client.files import SourceFile

LONGEST_PAUSE_SECONDS = 1.0  # somebody is watching


def upload_all(
    client: Client,
    submission: Submission,
    *,
    files: Iterable[SourceFile],
    tally: Tally,
    changed: Callable[[], None],
) -> None:
    """Upload what the submission's batch lacks and close it; a file that is refused does not stop the others."""

    def on_answer(_: FileAnswer) -> None:
        tally.file_answered()
        changed()

    client.fill_submission(submission, files, on_answer=on_answer)
    tally.upload_ended()
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
