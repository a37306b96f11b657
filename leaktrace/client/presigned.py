"""Upload straight to the object store: announce files to the service, then post each where its answer says.

Spares the API the bytes; a worker checks hash and size later. The store gets no API key: its forms are signed.
"""

from collections.abc import Iterable, Iterator
from typing import IO

import httpx

from leaktrace.client.answers import PresignedAnswer, read_answer
from leaktrace.client.errors import ApiProblem, ServiceUnreachable, UnexpectedAnswer
from leaktrace.client.files import UploadFile, group_files
from leaktrace.client.flows import Flow, Pause, Request, Sender, Series, work
from leaktrace.client.retrying import RetryRules
from leaktrace.client.transport import json_of
from leaktrace.errors import InvalidInput

ANNOUNCED_FILES = 500
POST_TRIES = 4
NO_LIMIT = 1 << 62
Announced = tuple[UploadFile, PresignedAnswer]


def announce_files(
    sender: Sender, files: Iterable[UploadFile], *, batch_id: str, resume: bool
) -> Series[Announced]:
    """Announce in groups; each file with its answer, in order. Reads every file once, for its hash."""

    def flows() -> Iterator[Flow[Iterable[Announced]]]:
        for group in group_files(files, max_files=ANNOUNCED_FILES, max_bytes=NO_LIMIT):
            yield _announce_group(sender, group, batch_id=batch_id, resume=resume)

    return Series(flows())


def _announce_group(
    sender: Sender, group: list[UploadFile], *, batch_id: str, resume: bool
) -> Flow[Iterable[Announced]]:
    announced = yield from work(
        lambda: [
            {
                "custom_id": file.custom_id,
                "file_name": file.file_name,
                "sha256": file.sha256(),
                "size_bytes": file.size_bytes,
            }
            for file in group
        ]
    )
    path = f"/v1/batches/{batch_id}/uploads"
    body = {"files": announced, "resume": resume}
    response = yield from sender.exchange(Request(method="POST", path=path, json=body))
    answers = json_of(response).get("data", [])
    if len(answers) != len(group):
        raise UnexpectedAnswer(f"the service answered for {len(answers)} of {len(group)} files; try again")
    return list(zip(group, (read_answer(PresignedAnswer, answer) for answer in answers), strict=True))


def post_file(file: UploadFile, target: PresignedAnswer) -> Flow[None]:
    """Post one file to the store, again when the connection breaks (the form's key makes that harmless).

    Raises:
        InvalidInput: the answer named no address. ApiProblem: the store refused. ServiceUnreachable: no answer.
    """
    if target.url is None:
        raise InvalidInput(f"{target.custom_id!r} answered {target.status!r}: there is nothing to post")
    last: httpx.TransportError | None = None
    for attempt in range(1, POST_TRIES + 1):
        content = file.open()
        try:
            response = yield _form(target, content)
        except httpx.TransportError as error:
            last = error
        else:
            if not response.is_server_error:
                _check(response)
                return
        finally:
            content.close()
        yield Pause(RetryRules().backoff(attempt))
    raise ServiceUnreachable(f"the object store at {target.url} does not take the file; try again") from last


def _form(target: PresignedAnswer, content: IO[bytes]) -> Request:
    return Request(
        method="POST",
        path=str(target.url),
        data=target.fields or {},
        open_files=lambda: {"file": content},
        to="store",
    )


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        detail = f"the object store refused the file ({response.status_code}); announce it again"
        raise ApiProblem({"code": "upload_refused", "detail": detail}, status=response.status_code)
