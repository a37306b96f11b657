"""Announcing files and posting them straight to the object store."""

import hashlib
import json

import httpx
import pytest

from leaktrace.client import ApiProblem, PresignedAnswer, ServiceUnreachable, UnexpectedAnswer, UploadFile
from leaktrace.client.presigned import post_file
from leaktrace.errors import InvalidInput
from tests.unit.client.fake_service import FakeService

FILE = UploadFile.from_bytes(b"content", custom_id="a.png")
TARGET = PresignedAnswer(
    custom_id="a.png", status="upload", url="http://store.test/bucket", fields={"key": "k"}
)


class Store:
    """An object store that fails as often as it is told, then takes the file."""

    def __init__(self, *failures: int | Exception) -> None:
        self.failures = list(failures)
        self.bodies: list[bytes] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One post."""
        self.bodies.append(request.read())
        failure = self.failures.pop(0) if self.failures else 204
        if isinstance(failure, Exception):
            raise failure
        return httpx.Response(failure)

    def take(self, target: PresignedAnswer = TARGET) -> None:
        """Post the file."""
        post_file(FILE, target, http_transport=httpx.MockTransport(self.answer))


def test_announced_file_tells_hash_and_size() -> None:
    answer = {"data": [TARGET.model_dump()]}
    service = FakeService(failures=[httpx.Response(200, json=answer)])
    list(service.client().announce("b1", [FILE]))
    (told,) = json.loads(service.requests[0].content)["files"]
    assert (told["sha256"], told["size_bytes"]) == (hashlib.sha256(b"content").hexdigest(), 7)


def test_missing_answer_is_noticed() -> None:
    service = FakeService(failures=[httpx.Response(200, json={"data": []})])
    with pytest.raises(UnexpectedAnswer, match="0 of 1"):
        list(service.client().announce("b1", [FILE]))


def test_form_holds_fields_and_file() -> None:
    store = Store()
    store.take()
    assert b'name="key"' in store.bodies[0]
    assert store.bodies[0].index(b'name="key"') < store.bodies[0].index(b"content\r\n")


@pytest.mark.parametrize("failure", [httpx.WriteError("cut"), 500, 503])
def test_broken_post_is_repeated(failure: int | Exception) -> None:
    store = Store(failure)
    store.take()
    assert [b"content\r\n" in body for body in store.bodies] == [True, True]


def test_refused_post_is_told() -> None:
    with pytest.raises(ApiProblem, match="announce it again"):
        Store(403).take()


def test_store_that_stays_away_is_told() -> None:
    with pytest.raises(ServiceUnreachable, match=r"store\.test"):
        Store(*[httpx.ConnectError("refused")] * 10).take()


def test_present_file_is_not_posted() -> None:
    with pytest.raises(InvalidInput, match="nothing to post"):
        Store().take(PresignedAnswer(custom_id="a.png", status="present"))


def test_store_gets_no_api_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    post_file(FILE, TARGET, http_transport=httpx.MockTransport(answer))
    assert "authorization" not in seen[0].headers
