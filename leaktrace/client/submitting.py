"""Submits folders and archives of any size as one batch, and goes on where an earlier attempt was killed.

A journal remembers the batch, the service tells what of it has arrived, and only the rest is sent. A part of both
clients; see `methods`. Memory stays bounded: files are found while others are being sent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leaktrace.client.answers import Batch, FileAnswer
from leaktrace.client.arrivals import Arrived, find_arrived
from leaktrace.client.batches import NOT_FOUND, PARALLEL_UPLOADS
from leaktrace.client.errors import ApiProblem
from leaktrace.client.files import SourceFile
from leaktrace.client.flows import Each, Flow
from leaktrace.client.journal import Journal
from leaktrace.client.methods import Part, SenderT, shared
from leaktrace.client.sources import files_in_all
from leaktrace.client.uploads import upload_files

# A batch in another state takes nothing and gives nothing, so the folders are submitted anew.
RESUMED_STATES = frozenset({"uploading", "validating", "queued", "in_progress", "finalizing", "completed"})
OnAnswer = Callable[[FileAnswer], object]


@dataclass
class Submission:
    """A batch on its way. `begun_before`: an earlier attempt made it; `refused`: files that did not enter it."""

    batch: Batch
    journal: Journal | None = None
    begun_before: bool = False
    accepted: int = 0
    refused: list[FileAnswer] = field(default_factory=list)

    @property
    def takes_files(self) -> bool:
        """Whether the upload has not ended yet."""
        return self.batch.state == "uploading"

    def note(self, answer: FileAnswer) -> None:
        """Count what became of a file."""
        if answer.status == "refused":
            self.refused.append(answer)
        else:
            self.accepted += 1


class Submitting(Part[SenderT]):
    """Folders in, a closed batch out."""

    @shared
    def submit_folder(
        self,
        folder: Path,
        *,
        name: str | None = None,
        journal: Path | None = None,
        parallel: int = PARALLEL_UPLOADS,
        on_answer: OnAnswer | None = None,
    ) -> Flow[Submission]:
        """Submit a folder with all below it, or an archive, as one batch, and close it.

        With a `journal`, the path of a file of this submission alone, calling this again after it was killed or cut
        off goes on with the same batch and sends only what has not arrived. `on_answer` gets what became of each file.
        """
        submission = yield from self._begin([folder], name=name, journal=journal)
        files = files_in_all([folder])
        return (yield from self._fill(submission, files, parallel=parallel, on_answer=on_answer))

    @shared
    def begin_submission(
        self, sources: Sequence[Path], *, name: str | None = None, journal: Path | None = None
    ) -> Flow[Submission]:
        """The batch for some folders, archives and files: the one that the journal remembers, or a new one.

        Raises:
            NoSource: there is nothing at one of the paths. JournalUnusable: the journal is another submission's.
        """
        return self._begin(sources, name=name, journal=journal)

    @shared
    def fill_submission(
        self,
        submission: Submission,
        files: Iterable[SourceFile],
        *,
        parallel: int = PARALLEL_UPLOADS,
        on_answer: OnAnswer | None = None,
    ) -> Flow[Submission]:
        """Send those of the files that the batch lacks, and close it."""
        return self._fill(submission, files, parallel=parallel, on_answer=on_answer)

    def _begin(self, sources: Sequence[Path], *, name: str | None, journal: Path | None) -> Flow[Submission]:
        files_in_all(sources)  # refuses what is not there before anything is sent
        kept = Journal(journal, self._sender.url, sources) if journal is not None else None
        known = kept.read() if kept is not None else None
        batch = (yield from self._still_there(known)) if known is not None else None
        if batch is not None:
            return Submission(batch, kept, begun_before=True)
        body = {"name": name or sources[0].resolve().name, "metadata": {}}
        batch = yield from self._ask_once(Batch, "/v1/batches", body)
        if kept is not None:
            kept.write(batch.id)
        return Submission(batch, kept)

    def _fill(
        self,
        submission: Submission,
        files: Iterable[SourceFile],
        *,
        parallel: int,
        on_answer: OnAnswer | None,
    ) -> Flow[Submission]:
        def take(answer: FileAnswer) -> None:
            submission.note(answer)
            if on_answer is not None:
                on_answer(answer)

        batch_id = submission.batch.id
        if submission.takes_files:
            arrived = (yield from self._arrived(batch_id)) if submission.begun_before else None
            yield Each(
                upload_files(self._sender, files, batch_id=batch_id, parallel=parallel, arrived=arrived), take
            )
            submission.batch = yield from self._ask(Batch, "POST", f"/v1/batches/{batch_id}/close")
        if submission.journal is not None:
            submission.journal.forget()
        return submission

    def _still_there(self, batch_id: str) -> Flow[Batch | None]:
        try:
            batch = yield from self._ask(Batch, "GET", f"/v1/batches/{batch_id}")
        except ApiProblem as problem:
            if problem.status != NOT_FOUND:
                raise
            return None
        return batch if batch.state in RESUMED_STATES else None

    def _arrived(self, batch_id: str) -> Flow[Arrived | None]:
        """None where the key may upload but not read results: then all is sent, and answered "duplicate"."""
        try:
            return (yield from find_arrived(self._sender, batch_id))
        except ApiProblem as problem:
            if problem.code != "scope_missing":
                raise
            return None
