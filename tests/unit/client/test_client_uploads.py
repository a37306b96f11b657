"""What is uploaded, how it is grouped, and what becomes of files that cannot be sent."""

import hashlib
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaktrace.client import ApiProblem, UnusableFile, UploadFile
from leaktrace.client.files import check_custom_id, group_files
from tests.unit.client.fake_service import FakeService, problem


def files(count: int) -> list[UploadFile]:
    return [
        UploadFile.from_bytes(b"content %d" % place, custom_id=f"f/{place}.png") for place in range(count)
    ]


def test_every_file_arrives_whole() -> None:
    service = FakeService()
    answers = list(service.client().upload("b1", files(100)))
    assert (
        {answer.custom_id for answer in answers} == set(service.files) == {f"f/{n}.png" for n in range(100)}
    )
    assert service.files["f/7.png"].content == b"content 7"


def test_hash_is_sent_along() -> None:
    service = FakeService()
    list(service.client().upload("b1", files(1)))
    assert service.files["f/0.png"].sha256 == hashlib.sha256(b"content 0").hexdigest()


def test_repeat_answers_duplicate() -> None:
    service = FakeService()
    client = service.client()
    list(client.upload("b1", files(3)))
    assert {answer.status for answer in client.upload("b1", files(3))} == {"duplicate"}


def test_broken_upload_sends_content_again() -> None:
    service = FakeService(failures=[httpx.WriteError("cut")])
    (answer,) = service.client().upload("b1", files(1))
    assert answer.status == "accepted"
    assert service.files["f/0.png"].content == b"content 0"


def test_refused_request_ends_upload() -> None:
    service = FakeService(failures=[problem(409, "wrong_state", "the batch is closed")])
    with pytest.raises(ApiProblem, match="closed"):
        list(service.client().upload("b1", files(1)))


def test_unusable_file_is_answered() -> None:
    service = FakeService()
    odd = UnusableFile("x.png", "encrypted", "it is encrypted")
    answers = {answer.custom_id: answer for answer in service.client().upload("b1", [*files(1), odd])}
    assert answers["x.png"].error is not None
    assert (answers["x.png"].error.code, answers["f/0.png"].status) == ("encrypted", "accepted")


def test_vanished_file_spares_others(tmp_path: Path) -> None:
    service = FakeService()
    path = tmp_path / "gone.png"
    path.write_bytes(b"here")
    gone = UploadFile.from_path(path)
    path.unlink()
    answers = {answer.custom_id: answer.status for answer in service.client().upload("b1", [gone, *files(1)])}
    assert answers == {"gone.png": "refused", "f/0.png": "accepted"}


def test_name_with_newline_is_refused() -> None:
    service = FakeService()
    hostile = UploadFile.from_bytes(b"x", custom_id="a\r\nX-Sha256: 0\r\n.png")
    (answer,) = service.client().upload("b1", [hostile])
    assert answer.error is not None
    assert (answer.error.code, service.requests) == ("invalid_custom_id", [])


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_custom_id_arrives_unchanged(custom_id: str) -> None:
    service = FakeService()
    (answer,) = service.client().upload("b1", [UploadFile.from_bytes(b"x", custom_id=custom_id)])
    if answer.status == "refused":
        assert check_custom_id(custom_id) is not None
    else:
        sent = f"X-Custom-Id: {custom_id}\r\n".encode()
        assert sent in service.requests[-1].content


def test_only_few_files_are_read_ahead() -> None:
    service = FakeService()
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield UploadFile.from_bytes(b"x", custom_id=str(taken))

    answers = service.client().upload("b1", endless(), parallel=2)  # type: ignore[arg-type]
    for _ in range(10):
        next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert taken < 32 * 12


def test_files_are_closed_after_sending() -> None:
    opened: list[BytesIO] = []

    def open_content() -> BytesIO:
        opened.append(BytesIO(b"x"))
        return opened[-1]

    list(FakeService().client().upload("b1", [UploadFile("a", "a", 1, open_content)]))
    assert [content.closed for content in opened] == [True] * len(opened)


sized = st.lists(st.integers(min_value=0, max_value=500), max_size=60).map(
    lambda sizes: [UploadFile(str(place), "x", size, BytesIO) for place, size in enumerate(sizes)]
)


@settings(deadline=None)
@given(sized, st.integers(1, 8), st.integers(1, 600))
def test_groups_keep_every_file(given_files: list[UploadFile], max_files: int, max_bytes: int) -> None:
    groups = list(group_files(given_files, max_files=max_files, max_bytes=max_bytes))
    assert [file for group in groups for file in group] == given_files


@settings(deadline=None)
@given(sized, st.integers(1, 8), st.integers(1, 600))
def test_groups_stay_within_limits(given_files: list[UploadFile], max_files: int, max_bytes: int) -> None:
    for group in group_files(given_files, max_files=max_files, max_bytes=max_bytes):
        assert 1 <= len(group) <= max_files
        assert len(group) == 1 or sum(file.size_bytes for file in group) <= max_bytes
