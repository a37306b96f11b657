"""The synchronous client of the service: one method for each thing that a user does.

Everything that can be sent again safely is (see `retrying`), creating a batch under an idempotency key. What it knows
of HTTP is in `transport`, of uploads in `uploads`; an asynchronous twin can share the rules and the records.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx

from leaktrace.client.answers import (
    Attribution,
    Batch,
    FileAnswer,
    Generator,
    Label,
    LabelKind,
    PresignedAnswer,
    Result,
    RetryAnswer,
    read_answer,
)
from leaktrace.client.errors import ApiProblem, WaitTimedOut
from leaktrace.client.files import SourceFile, UploadFile
from leaktrace.client.open_set import OpenSet
from leaktrace.client.polling import LONGEST_PAUSE_SECONDS, Poll, page_params
from leaktrace.client.presigned import announce_files, post_file
from leaktrace.client.reports import report_pieces
from leaktrace.client.rescoring import Rescoring
from leaktrace.client.results import ExportFormat, export_lines, result_documents
from leaktrace.client.retrying import RetryRules
from leaktrace.client.transport import Transport, json_of
from leaktrace.client.uploads import upload_files

PARALLEL_UPLOADS = 4
PAGE_RESULTS = 500
DELETION_POLL_SECONDS = 0.5
NOT_FOUND = 404


class Client:
    """Talks to one service under one key: `with Client(url, key) as client: ...`. Threads may share it.

    Every method may raise `ApiProblem` (the service refused) and `ServiceUnreachable` (it did not answer for as long
    as `rules` allow).
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        rules: RetryRules | None = None,
        http_transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._sleep = clock, sleep or time.sleep
        self._transport = Transport(
            url, key, rules=rules or RetryRules(), http_transport=http_transport, sleep=sleep, clock=clock
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._transport.url

    def disconnect(self) -> None:
        """Close the connections."""
        self._transport.close()

    def create_batch(self, name: str | None = None, *, metadata: dict[str, Any] | None = None) -> Batch:
        """A new, empty batch; nothing in it is attributed before `close`."""
        body = {"name": name, "metadata": metadata or {}}
        return self._batch("POST", "/v1/batches", json=body, headers={"Idempotency-Key": str(uuid4())})

    def upload(
        self, batch_id: str, files: Iterable[SourceFile], *, parallel: int = PARALLEL_UPLOADS
    ) -> Iterator[FileAnswer]:
        """Send files, several requests at once, and yield what became of each, in no particular order.

        Only a few groups of files are open at any time. Uploading the same files again resumes: what is there
        answers "duplicate". Nothing is sent until the iterator is read.
        """
        return upload_files(self._transport, files, batch_id=batch_id, parallel=parallel)

    def announce(
        self, batch_id: str, files: Iterable[UploadFile]
    ) -> Iterator[tuple[UploadFile, PresignedAnswer]]:
        """Announce files for upload straight to the object store; post those that answer "upload" with `post`."""
        return announce_files(self._transport, files, batch_id=batch_id)

    def post(self, file: UploadFile, target: PresignedAnswer) -> None:
        """Send one announced file to where its answer said."""
        post_file(file, target)

    def close(self, batch_id: str) -> Batch:
        """End the upload; from now on the batch is attributed."""
        return self._batch("POST", f"/v1/batches/{batch_id}/close")

    def batch(self, batch_id: str) -> Batch:
        """The batch as it stands."""
        return self._batch("GET", f"/v1/batches/{batch_id}")

    def batches(self, *, state: str | None = None) -> Iterator[Batch]:
        """All batches of the tenant, the newest first, page by page."""
        for document in self._pages("/v1/batches", state=state):
            yield read_answer(Batch, document)

    def wait(
        self,
        batch_id: str,
        *,
        on_progress: Callable[[Batch], None] | None = None,
        timeout_seconds: float | None = None,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> Batch:
        """Ask until the batch is finished, as often as the service advises; `on_progress` gets every answer.

        The advice grows with the batch; a shorter `longest_pause_seconds` shows progress more smoothly.

        Raises:
            WaitTimedOut: it was not finished after `timeout_seconds`; it goes on all the same.
        """
        poll, started = Poll(), self._clock()
        while True:
            batch = poll.take(self._transport.request("GET", f"/v1/batches/{batch_id}", headers=poll.headers))
            if on_progress is not None:
                on_progress(batch)
            if batch.is_finished:
                return batch
            if timeout_seconds is not None and self._clock() - started >= timeout_seconds:
                raise WaitTimedOut(
                    f"batch {batch_id} is {batch.state} after {timeout_seconds:g} s; wait again"
                )
            self._sleep(min(poll.next_in_seconds, longest_pause_seconds))

    def wait_until_deleted(self, batch_id: str) -> None:
        """Ask until the batch is gone, with all that was deleted with it."""
        try:
            while self.batch(batch_id).state == "deleting":
                self._sleep(DELETION_POLL_SECONDS)
        except ApiProblem as problem:
            if problem.status != NOT_FOUND:
                raise

    def results(
        self,
        batch_id: str,
        *,
        verdict: str | None = None,
        generator: str | None = None,
        state: str | None = None,
        fdr: float | None = None,
    ) -> Iterator[Result]:
        """All results that pass the filters, page by page; a page that fails is asked for again.

        With `fdr` each also says whether it is unseen at that false discovery rate over the whole batch.
        """
        path = f"/v1/batches/{batch_id}/results"
        for document in self._pages(
            path, limit=PAGE_RESULTS, verdict=verdict, generator=generator, state=state, fdr=fdr
        ):
            yield read_answer(Result, document)

    def stream_results(self, batch_id: str) -> Iterator[Result]:
        """All results in one answer, without pages.

        Raises:
            ResultsTruncated: the stream broke off before its end line.
        """
        for document in result_documents(export_lines(self._transport, "ndjson", batch_id=batch_id)):
            yield read_answer(Result, document)

    def export(self, batch_id: str, form: ExportFormat, *, fdr: float | None = None) -> Iterator[bytes]:
        """The results as the service writes them, line by line; NDJSON's end line is checked.

        Raises:
            ResultsTruncated: the stream broke off.
        """
        return export_lines(self._transport, form, batch_id=batch_id, fdr=fdr)

    def attribution(self, image_id: str, *, model_version: str | None = None) -> Attribution:
        """The latest attribution of one image, or that of a model version."""
        params = page_params(model_version=model_version)
        answer = self._transport.request("GET", f"/v1/images/{image_id}/attribution", params=params)
        return read_answer(Attribution, json_of(answer))

    def label(self, image_id: str, kind: LabelKind, *, reason: str, generator: str | None = None) -> Label:
        """Confirm or correct what was said of an image, or appeal against it.

        A correction without a generator says that no known one made the image.
        """
        body: dict[str, Any] = {"kind": kind, "reason": reason}
        if kind != "confirm":
            body |= {"generator": generator}
        headers = {"Idempotency-Key": str(uuid4())}
        path = f"/v1/images/{image_id}/labels"
        return read_answer(Label, json_of(self._transport.request("POST", path, json=body, headers=headers)))

    def labels(self, image_id: str) -> list[Label]:
        """All that was said of an image's content, the newest first."""
        document = json_of(self._transport.request("GET", f"/v1/images/{image_id}/labels"))
        return [read_answer(Label, entry) for entry in document.get("data", [])]

    def image_report(self, image_id: str) -> Iterator[bytes]:
        """The case report of one image: an HTML file, in pieces. Raises `ReportTruncated` when it breaks off."""
        return report_pieces(self._transport, f"/v1/images/{image_id}/report", {})

    def batch_report(
        self, batch_id: str, *, pictures: bool = True, provenance: bool = True
    ) -> Iterator[bytes]:
        """The case report of a batch in pieces, with small pictures and what each file says of its origin.

        Raises:
            ReportTruncated: it broke off; ask again.
        """
        wanted = {"pictures": str(pictures).lower(), "provenance": str(provenance).lower()}
        return report_pieces(self._transport, f"/v1/batches/{batch_id}/report", wanted)

    def cancel(self, batch_id: str) -> Batch:
        """Stop what has not begun; what is under way is finished first."""
        return self._batch("POST", f"/v1/batches/{batch_id}/cancel")

    def retry(self, batch_id: str, *, dry_run: bool = False) -> RetryAnswer:
        """Take up again what failed in a completed batch; with `dry_run` only say how much that would be."""
        answer = self._transport.request(
            "POST",
            f"/v1/batches/{batch_id}/retry",
            json={"dry_run": dry_run},
            headers={"Idempotency-Key": str(uuid4())},
        )
        return read_answer(RetryAnswer, json_of(answer))

    def delete(self, batch_id: str) -> Batch:
        """Have a finished batch deleted with its results, and its images as far as no other batch shows them.

        It is `deleting` from now on and then gone.
        """
        return self._batch("DELETE", f"/v1/batches/{batch_id}")

    def generators(self) -> list[Generator]:
        """The generators that the service's model knows."""
        document = json_of(self._transport.request("GET", "/v1/generators"))
        return [read_answer(Generator, entry) for entry in document.get("data", [])]

    @property
    def open_set(self) -> OpenSet:
        """Candidates, enrolments and densities."""
        return OpenSet(self._transport, sleep=self._sleep, clock=self._clock)

    @property
    def rescoring(self) -> Rescoring:
        """Images judged again, and what differs then."""
        return Rescoring(self._transport, sleep=self._sleep, clock=self._clock)

    def _batch(self, method: str, path: str, **sent: Any) -> Batch:
        return read_answer(Batch, json_of(self._transport.request(method, path, **sent)))

    def _pages(self, path: str, **filters: Any) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = json_of(self._transport.request("GET", path, params=page_params(cursor=cursor, **filters)))
            yield from page.get("data", [])
            cursor = page.get("next_cursor")
            if cursor is None:
                return
