"""Upload straight to the object store: announce files to the service, then post each where its answer says.

Spares the API the bytes; a worker checks hash and size later. The store gets no API key: its forms are signed.
"""

import time
from collections.abc import Iterable, Iterator

import httpx

from leaktrace.client.answers import PresignedAnswer, read_answer
from leaktrace.client.errors import ApiProblem, ServiceUnreachable, UnexpectedAnswer
from leaktrace.client.files import UploadFile, group_files
from leaktrace.client.retrying import RetryRules
from leaktrace.client.transport import Transport, json_of, may_use_proxy
from leaktrace.errors import InvalidInput

ANNOUNCED_FILES = 500
POST_TRIES = 4
POST_SECONDS = 120.0
NO_LIMIT = 1 << 62


def announce_files(
    transport: Transport, files: Iterable[UploadFile], *, batch_id: str
) -> Iterator[tuple[UploadFile, PresignedAnswer]]:
    """Announce in groups; each file with its answer, in order. Reads every file once, for its hash."""
    for group in group_files(files, max_files=ANNOUNCED_FILES, max_bytes=NO_LIMIT):
        announced = [
            {
                "custom_id": file.custom_id,
                "file_name": file.file_name,
                "sha256": file.sha256(),
                "size_bytes": file.size_bytes,
            }
            for file in group
        ]
        response = transport.request("POST", f"/v1/batches/{batch_id}/uploads", json={"files": announced})
        answers = json_of(response).get("data", [])
        if len(answers) != len(group):
            raise UnexpectedAnswer(
                f"the service answered for {len(answers)} of {len(group)} files; try again"
            )
        for file, answer in zip(group, answers, strict=True):
            yield file, read_answer(PresignedAnswer, answer)


def post_file(
    file: UploadFile, target: PresignedAnswer, *, http_transport: httpx.BaseTransport | None = None
) -> None:
    """Post one file to the store, again when the connection breaks (the form's key makes that harmless).

    Raises:
        InvalidInput: the answer named no address. ApiProblem: the store refused. ServiceUnreachable: no answer.
    """
    if target.url is None:
        raise InvalidInput(f"{target.custom_id!r} answered {target.status!r}: there is nothing to post")
    last: httpx.TransportError | None = None
    trust_env = may_use_proxy(target.url)
    with httpx.Client(timeout=POST_SECONDS, transport=http_transport, trust_env=trust_env) as http:
        for attempt in range(1, POST_TRIES + 1):
            try:
                with file.open() as content:
                    response = http.post(target.url, data=target.fields or {}, files={"file": content})
            except httpx.TransportError as error:
                last = error
            else:
                if not response.is_server_error:
                    _check(response)
                    return
            time.sleep(RetryRules().backoff(attempt))
    raise ServiceUnreachable(f"the object store at {target.url} does not take the file; try again") from last


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        detail = f"the object store refused the file ({response.status_code}); announce it again"
        raise ApiProblem({"code": "upload_refused", "detail": detail}, status=response.status_code)
