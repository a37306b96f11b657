"""Multipart bodies give the same parts however they are cut into chunks."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import MalformedMultipart, UnsupportedMediaType
from api.multipart import MultipartStream, PartBegin, PartData, PartEnd

BOUNDARY = "frontier"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
NAMES = st.text(
    st.characters(exclude_characters='"\\\r\n', exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=200)), min_size=1, max_size=5)


def encode(files: Sequence[tuple[str, bytes]]) -> bytes:
    body = b""
    for name, data in files:
        body += (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'.encode()
        )
        body += b"X-Custom-Id: id-of-it\r\n\r\n" + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def read(chunks: Sequence[bytes], content_type: str = CONTENT_TYPE) -> list[tuple[str | None, bytes]]:
    stream = MultipartStream(content_type)
    found: list[tuple[str | None, bytes]] = []
    for event in [event for chunk in chunks for event in stream.feed(chunk)]:
        if isinstance(event, PartBegin):
            found.append((event.file_name, b""))
        elif isinstance(event, PartData):
            found[-1] = (found[-1][0], found[-1][1] + event.data)
    stream.finish()
    return found


@given(FILES, st.lists(st.integers(0, 10_000), max_size=8))
def test_chunking_changes_nothing(files: list[tuple[str, bytes]], places: list[int]) -> None:
    assert read(cut(encode(files), places)) == files


def test_single_bytes_give_whole_parts() -> None:
    body = encode([("a.jpg", b"--frontie\r\n--front"), ("b.jpg", b"")])
    assert read([bytes([byte]) for byte in body]) == [("a.jpg", b"--frontie\r\n--front"), ("b.jpg", b"")]


def test_every_part_ends() -> None:
    events = MultipartStream(CONTENT_TYPE).feed(encode([("a", b"1"), ("b", b"2")]))
    assert [type(event) for event in events] == [PartBegin, PartData, PartEnd] * 2


def test_part_headers_are_read() -> None:
    first = MultipartStream(CONTENT_TYPE).feed(encode([("ä.jpg", b"1")]))[0]
    assert isinstance(first, PartBegin)
    assert (first.name, first.file_name, first.custom_id) == ("files", "ä.jpg", "id-of-it")


@given(FILES, st.data())
def test_truncated_body_is_refused(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    body = encode(files)
    with pytest.raises(MalformedMultipart):
        read([body[: data.draw(st.integers(0, len(body) - 5))]])


@given(st.binary(max_size=300))
def test_garbage_never_surprises(body: bytes) -> None:
    with suppress(MalformedMultipart):
        assert read([body]) == []


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"]
)
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        MultipartStream(content_type)


def test_endless_header_is_refused() -> None:
    stream = MultipartStream(CONTENT_TYPE)
    with pytest.raises(MalformedMultipart):
        stream.feed(b"--frontier\r\nX: " + b"a" * 100_000)


def test_overlong_boundary_is_refused() -> None:
    with pytest.raises(MalformedMultipart):
        MultipartStream(f"multipart/form-data; boundary={'x' * 1000}")
