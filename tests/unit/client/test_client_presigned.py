"""Announcing files and posting them straight to the object store."""

import hashlib
import json

import httpx
import pytest

from leaktrace.client import ApiProblem, PresignedAnswer, ServiceUnreachable, UnexpectedAnswer, UploadFile
from leaktrace.errors import InvalidInput
from tests.unit.client.fake_service import FakeService

FILE = UploadFile.from_bytes(b"content", custom_id="a.png")
TARGET = PresignedAnswer(
    custom_id="a.png", status="upload", url="http://store.test/bucket", fields={"key": "k"}
)


def stored(*failures: httpx.Response | Exception) -> FakeService:
    """A store that fails so often and then takes the file, after it was posted."""
    store = FakeService(failures=[*failures, httpx.Response(204)])
    store.client().post(FILE, TARGET)
    return store


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
    (request,) = stored().requests
    assert 0 < request.content.index(b'name="key"') < request.content.index(b"content\r\n")


@pytest.mark.parametrize("failure", [httpx.WriteError("cut"), httpx.Response(500), httpx.Response(503)])
def test_broken_post_is_repeated(failure: httpx.Response | Exception) -> None:
    assert [b"content\r\n" in request.content for request in stored(failure).requests] == [True, True]


def test_refused_post_is_told() -> None:
    with pytest.raises(ApiProblem, match="announce it again"):
        stored(httpx.Response(403))


def test_store_that_stays_away_is_told() -> None:
    with pytest.raises(ServiceUnreachable, match=r"store\.test"):
        stored(*[httpx.ConnectError("refused")] * 10)


def test_present_file_is_not_posted() -> None:
    with pytest.raises(InvalidInput, match="nothing to post"):
        FakeService().client().post(FILE, PresignedAnswer(custom_id="a.png", status="present"))


def test_store_gets_no_api_key() -> None:
    (request,) = stored().requests
    assert (request.url.host, "authorization" in request.headers) == ("store.test", False)
