"""What a user does with batches: make, fill, close, follow, read, cancel, retry and delete them.

A part of both clients; see `methods`. Submitting whole folders is told in `submitting`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from leaktrace.client.answers import Answer, Batch, FileAnswer, PresignedAnswer, Result, RetryAnswer
from leaktrace.client.arrivals import Arrived, find_arrived
from leaktrace.client.errors import ApiProblem, WaitTimedOut
from leaktrace.client.files import SourceFile, UploadFile
from leaktrace.client.flows import Flow, Pause, Request, Series
from leaktrace.client.methods import Part, SenderT, iterated, shared
from leaktrace.client.polling import LONGEST_PAUSE_SECONDS, Poll
from leaktrace.client.presigned import announce_files, post_file
from leaktrace.client.results import ExportFormat, export_lines, stream_results
from leaktrace.client.uploads import upload_files

PARALLEL_UPLOADS = 4
PAGE_RESULTS = 500
DELETION_POLL_SECONDS = 0.5
NOT_FOUND = 404


class BatchSummary(Answer):
    """A batch's results together; `p_values` counts them in equal bins from 0 to 1."""

    batch_id: str
    verdicts: dict[str, int]
    generators: dict[str, int]
    failures: dict[str, int]
    p_values: list[int]
    images_per_second: float | None = None
    seconds_left: float | None = None


class Batches(Part[SenderT]):
    """Batches, their images and their results."""

    @shared
    def create_batch(self, name: str | None = None, *, metadata: dict[str, Any] | None = None) -> Flow[Batch]:
        """A new, empty batch; nothing in it is attributed before `close`."""
        return self._ask_once(Batch, "/v1/batches", {"name": name, "metadata": metadata or {}})

    @iterated
    def upload(
        self,
        batch_id: str,
        files: Iterable[SourceFile],
        *,
        parallel: int = PARALLEL_UPLOADS,
        arrived: Arrived | None = None,
    ) -> Series[FileAnswer]:
        """Send files, several requests at once, and give what became of each, in no particular order.

        Only a few groups of files are open at any time. Uploading the same files again resumes: what is there
        answers "duplicate", and what stands in `arrived` does so without being sent.
        """
        return upload_files(self._sender, files, batch_id=batch_id, parallel=parallel, arrived=arrived)

    @shared
    def arrived(self, batch_id: str) -> Flow[Arrived]:
        """What has arrived in a batch, for an upload that broke off."""
        return find_arrived(self._sender, batch_id)

    @iterated
    def announce(
        self, batch_id: str, files: Iterable[UploadFile], *, resume: bool = False
    ) -> Series[tuple[UploadFile, PresignedAnswer]]:
        """Announce files for upload straight to the object store; post those that answer "upload" with `post`.

        With `resume`, files that were posted before answer "present".
        """
        return announce_files(self._sender, files, batch_id=batch_id, resume=resume)

    @shared
    def post(self, file: UploadFile, target: PresignedAnswer) -> Flow[None]:
        """Send one announced file to where its answer said."""
        return post_file(file, target)

    @shared
    def close(self, batch_id: str) -> Flow[Batch]:
        """End the upload; from now on the batch is attributed."""
        return self._ask(Batch, "POST", f"/v1/batches/{batch_id}/close")

    @shared
    def batch(self, batch_id: str) -> Flow[Batch]:
        """The batch as it stands."""
        return self._ask(Batch, "GET", f"/v1/batches/{batch_id}")

    @iterated
    def batches(self, *, state: str | None = None) -> Series[Batch]:
        """All batches of the tenant, the newest first."""
        return self._pages(Batch, "/v1/batches", state=state)

    @shared
    def wait(
        self,
        batch_id: str,
        *,
        on_progress: Callable[[Batch], object] | None = None,
        timeout_seconds: float | None = None,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> Flow[Batch]:
        """Ask until the batch is finished, as often as the service advises; `on_progress` gets every answer.

        The advice grows with the batch; a shorter `longest_pause_seconds` shows progress more smoothly.

        Raises:
            WaitTimedOut: it was not finished after `timeout_seconds`; it goes on all the same.
        """
        poll, started = Poll(), self._sender.clock()
        while True:
            question = Request(method="GET", path=f"/v1/batches/{batch_id}", headers=poll.headers)
            batch = poll.take((yield from self._sender.exchange(question)))
            if on_progress is not None:
                on_progress(batch)
            if batch.is_finished:
                return batch
            if timeout_seconds is not None and self._sender.clock() - started >= timeout_seconds:
                raise WaitTimedOut(
                    f"batch {batch_id} is {batch.state} after {timeout_seconds:g} s; wait again"
                )
            yield Pause(min(poll.next_in_seconds, longest_pause_seconds))

    @shared
    def wait_until_deleted(self, batch_id: str) -> Flow[None]:
        """Ask until the batch is gone, with all that was deleted with it."""
        try:
            while (yield from self._ask(Batch, "GET", f"/v1/batches/{batch_id}")).state == "deleting":
                yield Pause(DELETION_POLL_SECONDS)
        except ApiProblem as problem:
            if problem.status != NOT_FOUND:
                raise

    @iterated
    def results(
        self,
        batch_id: str,
        *,
        verdict: str | None = None,
        generator: str | None = None,
        state: str | None = None,
        error_code: str | None = None,
        p_min: float | None = None,
        p_max: float | None = None,
        fdr: float | None = None,
    ) -> Series[Result]:
        """All results that pass the filters, page by page; a page that fails is asked for again.

        With `fdr` each also says whether it is unseen at that false discovery rate over the whole batch.
        """
        filters = {"verdict": verdict, "generator": generator, "state": state, "error_code": error_code}
        path = f"/v1/batches/{batch_id}/results"
        return self._pages(Result, path, limit=PAGE_RESULTS, **filters, p_min=p_min, p_max=p_max, fdr=fdr)

    @shared
    def summary(self, batch_id: str) -> Flow[BatchSummary]:
        """Verdicts, generators, failures and p-values of a batch, its speed, and the time left."""
        return self._ask(BatchSummary, "GET", f"/v1/batches/{batch_id}/summary")

    @iterated
    def stream_results(self, batch_id: str) -> Series[Result]:
        """All results in one answer, without pages.

        Raises:
            ResultsTruncated: the stream broke off before its end line.
        """
        return stream_results(self._sender, batch_id)

    @iterated
    def export(self, batch_id: str, form: ExportFormat, *, fdr: float | None = None) -> Series[bytes]:
        """The results as the service writes them, line by line, or Parquet as it comes; NDJSON's end line is checked.

        Raises:
            ResultsTruncated: the stream broke off.
        """
        return export_lines(self._sender, form, path=f"/v1/batches/{batch_id}/results", fdr=fdr)

    @shared
    def cancel(self, batch_id: str) -> Flow[Batch]:
        """Stop what has not begun; what is under way is finished first."""
        return self._ask(Batch, "POST", f"/v1/batches/{batch_id}/cancel")

    @shared
    def retry(self, batch_id: str, *, dry_run: bool = False) -> Flow[RetryAnswer]:
        """Take up again what failed in a completed batch; with `dry_run` only say how much that would be."""
        return self._ask_once(RetryAnswer, f"/v1/batches/{batch_id}/retry", {"dry_run": dry_run})

    @shared
    def delete(self, batch_id: str) -> Flow[Batch]:
        """Have a finished batch deleted with its results, and its images as far as no other batch shows them.

        It is `deleting` from now on and then gone.
        """
        return self._ask(Batch, "DELETE", f"/v1/batches/{batch_id}")
