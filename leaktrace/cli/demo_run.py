"""One run of the demo: what is sent, what comes back, and what is written of it.

Files travel as numbers; `names` leads back to their paths. Knows nothing of how the service was started.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaktrace.cli.report import MOST_CARDS, build_report, write_report
from leaktrace.cli.submission import await_outcome, upload_all
from leaktrace.cli.summary import Agreement, Summary, agreement, summarise
from leaktrace.client import Client, FileAnswer, Result, Submission, UploadFile
from leaktrace.client.files import SourceFile, UnusableFile

if TYPE_CHECKING:
    from rich.console import Console

BATCH_NAME = "demo"


@dataclass
class DemoRun:
    """`source` gives the images, the same ones each time it is called; `origin` says where they are from.

    `total` is their number, None while it is not known.
    """

    source: Callable[[], Iterator[SourceFile]]
    origin: str
    total: int | None
    names: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    refused: list[FileAnswer] = field(default_factory=list)
    known_generators: list[str] = field(default_factory=list)
    state: str = ""
    seconds: float | None = None
    docs_url: str = ""

    def attribute(self, client: Client, *, console: "Console") -> None:
        """Delete earlier demos, then take all images through the service with live progress."""
        from leaktrace.cli.progress import Tally, shown_progress

        delete_earlier(client)
        submission = Submission(client.create_batch(BATCH_NAME))
        tally = Tally(total=self.total)
        with shown_progress(console, tally) as changed:
            upload_all(client, submission, files=self._numbered(), tally=tally, changed=changed)
            closed_at = time.monotonic()
            await_outcome(client, submission, tally=tally, changed=changed)
        self.seconds = time.monotonic() - closed_at
        self.state, self.refused = submission.batch.state, submission.refused
        self.results = [self._renamed(result) for result in client.stream_results(submission.batch.id)]
        self.known_generators = [generator.name for generator in client.generators()]

    def summary(self) -> Summary:
        """What was found, counted."""
        return summarise(self.results, self.refused)

    def comparison(self) -> Agreement | None:
        """How verdicts and folder names compare, where folders are named after generators."""
        return agreement(self.results, self.known_generators)

    def write_results(self, path: Path) -> None:
        """One line an image, those that were refused at the door too, then the end line."""
        lines = [result.model_dump(mode="json") for result in self.results] + [
            {"type": "result", "custom_id": self.names[answer.custom_id], "state": "refused"}
            | {"error": answer.error.model_dump() if answer.error else None}
            for answer in self.refused
        ]
        end: dict[str, Any] = {"type": "end", "count": len(lines)}
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in [*lines, end])

    def write_report(self, path: Path) -> None:
        """The HTML report, with thumbnails of the images that were attributed."""
        from leaktrace.cli.thumbnails import make_thumbnails

        wanted = {result.custom_id for result in self.results[:MOST_CARDS] if result.attribution}
        report = build_report(
            self.results,
            self.refused,
            summary=self.summary(),
            names=self.names,
            thumbnails=make_thumbnails(self.source(), wanted),
            origin=self.origin,
            seconds=self.seconds,
            comparison=self.comparison(),
        )
        write_report(report, path)

    def _numbered(self) -> Iterator[SourceFile]:
        """The files under numbers instead of their names."""
        for place, file in enumerate(self.source(), start=1):
            number = f"{place:06}"
            self.names[number] = file.custom_id
            if isinstance(file, UnusableFile):
                yield UnusableFile(number, file.code, file.detail)
            else:
                yield UploadFile(number, number, file.size_bytes, file.open)

    def _renamed(self, result: Result) -> Result:
        name = self.names[result.custom_id]
        return result.model_copy(update={"custom_id": name, "file_name": name.rsplit("/", 1)[-1]})


def delete_earlier(client: Client) -> None:
    """Delete the finished batches of earlier demos, and cancel one that was interrupted."""
    for batch in client.batches():
        if batch.name != BATCH_NAME:
            continue
        if not batch.is_finished and batch.state != "deleting":
            batch = client.cancel(batch.id)
            batch = client.wait(batch.id)
        client.delete(batch.id)
        client.wait_until_deleted(batch.id)
