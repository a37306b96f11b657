"""Uploads many files over several requests at once, with bounded memory, and answers file by file.

A group of files is one multipart request. Files are read piece by piece as they are sent; only a few groups are under
way. Sending a file again is harmless: the service answers "duplicate". Knows nothing of threads or event loops.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from leaktrace.client.answers import FileAnswer, Problem, read_answer
from leaktrace.client.arrivals import Arrived
from leaktrace.client.errors import UnexpectedAnswer
from leaktrace.client.files import SourceFile, UnusableFile, UploadFile, check_custom_id, group_files
from leaktrace.client.flows import Flow, Request, Sender, Series, settled, work
from leaktrace.client.transport import json_of

CONTENT_TYPE = "application/octet-stream"  # the service looks at the bytes, never at this


def upload_files(
    sender: Sender,
    files: Iterable[SourceFile],
    *,
    batch_id: str,
    parallel: int,
    arrived: Arrived | None = None,
) -> Series[FileAnswer]:
    """Send all files that have not `arrived` and give an answer for each, in no particular order.

    A request that fails for good ends the upload with its error; what was sent before stands, and the whole upload
    can be repeated.
    """
    refused: list[FileAnswer] = []

    def flows() -> Iterator[Flow[Iterable[FileAnswer]]]:
        for group in group_files(_usable(files, refused)):
            yield send_group(sender, group, batch_id=batch_id, arrived=arrived)
            yield from _drained(refused)
        yield from _drained(refused)

    return Series(flows(), parallel=parallel)


def send_group(
    sender: Sender, group: list[UploadFile], *, batch_id: str, arrived: Arrived | None = None
) -> Flow[list[FileAnswer]]:
    """One request: the answers of a group's files; none at all when nothing of it has to be sent."""
    readable, answers = yield from work(lambda: _looked_at(group, arrived))
    if not readable:
        return answers
    with ExitStack() as opened:

        def open_files() -> list[Any]:
            opened.close()  # what an earlier try had opened
            return [("files", _part(file, sha256, opened=opened)) for file, sha256 in readable]

        path = f"/v1/batches/{batch_id}/images"
        response = yield from sender.exchange(Request(method="POST", path=path, open_files=open_files))
    told = json_of(response).get("data", [])
    if len(told) != len(readable):
        raise UnexpectedAnswer(f"the service answered for {len(told)} of {len(readable)} files; upload again")
    return [read_answer(FileAnswer, answer) for answer in told] + answers


def _usable(files: Iterable[SourceFile], refused: list[FileAnswer]) -> Iterator[UploadFile]:
    """Pass on what can be sent; note the rest in `refused`."""
    for file in files:
        if isinstance(file, UnusableFile):
            refused.append(_refusal(file.custom_id, file.code, detail=file.detail))
        elif fault := check_custom_id(file.custom_id):
            refused.append(_refusal(file.custom_id, "invalid_custom_id", detail=fault))
        else:
            yield file


def _drained(refused: list[FileAnswer]) -> Iterator[Flow[Iterable[FileAnswer]]]:
    if refused:
        yield settled(tuple(refused))
        refused.clear()


def _looked_at(
    group: list[UploadFile], arrived: Arrived | None
) -> tuple[list[tuple[UploadFile, str]], list[FileAnswer]]:
    """Each file that has to be sent with its hash, by which the service checks it; and answers for the others."""
    readable: list[tuple[UploadFile, str]] = []
    answers: list[FileAnswer] = []
    for file in group:
        try:
            sha256 = file.sha256()
        except OSError as error:
            answers.append(_refusal(file.custom_id, "unreadable", detail=f"cannot be read: {error.strerror}"))
            continue
        if arrived is not None and arrived.holds(file.custom_id, sha256):
            answers.append(FileAnswer(custom_id=file.custom_id, status="duplicate", sha256=sha256))
        else:
            readable.append((file, sha256))
    return readable, answers


def _part(file: UploadFile, sha256: str, *, opened: ExitStack) -> tuple[Any, ...]:
    content = opened.enter_context(file.open())
    shown_name = file.file_name.encode(errors="replace").decode()
    return (shown_name, content, CONTENT_TYPE, {"X-Custom-Id": file.custom_id, "X-Sha256": sha256})


def _refusal(custom_id: str, code: str, *, detail: str) -> FileAnswer:
    return FileAnswer(custom_id=custom_id, status="refused", error=Problem(code=code, detail=detail))
