"""Uploads many files over several requests at once, with bounded memory, and answers file by file.

A group of files is one multipart request. Files are read piece by piece as they are sent; at most `parallel` groups
are under way and as many wait. Sending a file again is harmless: the service answers "duplicate".
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import httpx

from leaktrace.client.answers import FileAnswer, Problem, read_answer
from leaktrace.client.errors import UnexpectedAnswer
from leaktrace.client.files import SourceFile, UnusableFile, UploadFile, check_custom_id, group_files
from leaktrace.client.transport import Transport, json_of

CONTENT_TYPE = "application/octet-stream"  # the service looks at the bytes, never at this


def upload_files(
    transport: Transport, files: Iterable[SourceFile], *, batch_id: str, parallel: int
) -> Iterator[FileAnswer]:
    """Send all files and yield an answer for each, in no particular order.

    A request that fails for good ends the upload with its error; what was sent before stands, and the whole upload
    can be repeated.
    """
    refused: list[FileAnswer] = []
    groups = group_files(_usable(files, refused))
    with ThreadPoolExecutor(parallel, thread_name_prefix="upload") as executor:
        under_way: set[Future[list[FileAnswer]]] = set()
        try:
            for group in groups:
                under_way.add(executor.submit(send_group, transport, group, batch_id=batch_id))
                if len(under_way) >= 2 * parallel:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    yield from _answers(done)
                yield from _drain(refused)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from _answers(done)
            yield from _drain(refused)
        finally:
            for future in under_way:
                future.cancel()


def send_group(transport: Transport, group: list[UploadFile], *, batch_id: str) -> list[FileAnswer]:
    """One request: the answers of a group's files, in their order."""
    readable, unreadable = _hashed(group)
    if not readable:
        return unreadable
    with ExitStack() as opened:

        def build() -> httpx.Request:
            opened.close()  # what an earlier try had opened
            parts = [("files", _part(file, sha256, opened=opened)) for file, sha256 in readable]
            return transport.build_upload(f"/v1/batches/{batch_id}/images", files=parts)

        answers = json_of(transport.send(build)).get("data", [])
    if len(answers) != len(readable):
        raise UnexpectedAnswer(
            f"the service answered for {len(answers)} of {len(readable)} files; upload again"
        )
    return [read_answer(FileAnswer, answer) for answer in answers] + unreadable


def _usable(files: Iterable[SourceFile], refused: list[FileAnswer]) -> Iterator[UploadFile]:
    """Pass on what can be sent; note the rest in `refused`."""
    for file in files:
        if isinstance(file, UnusableFile):
            refused.append(_refusal(file.custom_id, file.code, detail=file.detail))
        elif fault := check_custom_id(file.custom_id):
            refused.append(_refusal(file.custom_id, "invalid_custom_id", detail=fault))
        else:
            yield file


def _hashed(group: list[UploadFile]) -> tuple[list[tuple[UploadFile, str]], list[FileAnswer]]:
    """Each file with its hash, by which the service checks what arrived; and answers for those that are unreadable."""
    readable: list[tuple[UploadFile, str]] = []
    unreadable: list[FileAnswer] = []
    for file in group:
        try:
            readable.append((file, file.sha256()))
        except OSError as error:
            unreadable.append(
                _refusal(file.custom_id, "unreadable", detail=f"cannot be read: {error.strerror}")
            )
    return readable, unreadable


def _part(file: UploadFile, sha256: str, *, opened: ExitStack) -> tuple[Any, ...]:
    content = opened.enter_context(file.open())
    shown_name = file.file_name.encode(errors="replace").decode()
    return (shown_name, content, CONTENT_TYPE, {"X-Custom-Id": file.custom_id, "X-Sha256": sha256})


def _answers(done: set[Future[list[FileAnswer]]]) -> Iterator[FileAnswer]:
    for future in done:
        yield from future.result()


def _drain(refused: list[FileAnswer]) -> Iterator[FileAnswer]:
    while refused:
        yield refused.pop(0)


def _refusal(custom_id: str, code: str, *, detail: str) -> FileAnswer:
    return FileAnswer(custom_id=custom_id, status="refused", error=Problem(code=code, detail=detail))
