"""What is said against a file before it is stored: by its bytes, never by its name or type."""

import asyncio
import hashlib

import pytest

from api.arrivals import Arrival
from api.multipart import PartBegin
from api.spool import MEMORY_BYTES, Spool

JPEG = b"\xff\xd8\xff\xe0 and so on"


def arrive(data: bytes, *, max_bytes: int = 1000, **headers: str) -> Arrival:
    given = {"content-disposition": 'form-data; name="files"; filename="a.jpg"'}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    arrival = Arrival(PartBegin(given), Spool(max_bytes=max_bytes))
    asyncio.run(arrival.spool.write(data))
    arrival.judge(max_bytes=max_bytes)
    arrival.spool.close()
    return arrival


def code_of(arrival: Arrival) -> str | None:
    return arrival.refusal.code if arrival.refusal else None


def test_image_is_not_refused() -> None:
    assert code_of(arrive(JPEG)) is None


def test_content_type_is_not_believed() -> None:
    assert code_of(arrive(b"#!/bin/sh", content_type="image/jpeg")) == "unsupported_format"


def test_empty_file_is_refused() -> None:
    assert code_of(arrive(b"")) == "empty"


def test_too_many_bytes_are_refused() -> None:
    assert code_of(arrive(JPEG, max_bytes=5)) == "too_many_bytes"


def test_wrong_checksum_is_refused() -> None:
    assert code_of(arrive(JPEG, x_sha256="0" * 64)) == "checksum_mismatch"


def test_right_checksum_passes() -> None:
    assert code_of(arrive(JPEG, x_sha256=hashlib.sha256(JPEG).hexdigest().upper())) is None


@pytest.mark.parametrize("custom_id", ["x" * 257, "a\tb", "a\x7f", "a\x00"])
def test_bad_custom_id_is_refused(custom_id: str) -> None:
    arrival = arrive(JPEG, x_custom_id=custom_id)
    assert (code_of(arrival), arrival.answer().custom_id) == ("invalid_custom_id", None)


@pytest.mark.parametrize("custom_id", ["x" * 256, "ä/b c", "=1+1", "..", "日本"])
def test_odd_custom_id_is_kept(custom_id: str) -> None:
    arrival = arrive(JPEG, x_custom_id=custom_id)
    assert (code_of(arrival), arrival.answer().custom_id) == (None, custom_id)


def test_file_name_stands_in_for_custom_id() -> None:
    assert arrive(JPEG).custom_id == "a.jpg"


def test_overlong_file_name_is_refused() -> None:
    disposition = f'form-data; name="files"; filename="{"x" * 513}"'
    assert code_of(arrive(JPEG, content_disposition=disposition, x_custom_id="a")) == "invalid_file_name"


@pytest.mark.parametrize("size", [0, 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES])
def test_spool_gives_back_its_bytes(size: int) -> None:
    async def fill() -> bytes:
        spool = Spool(max_bytes=10 * MEMORY_BYTES)
        for start in range(0, size, 65_536):
            await spool.write(b"x" * min(65_536, size - start))
        content = spool.rewound().read()
        spool.close()
        assert spool.sha256 == hashlib.sha256(content).hexdigest()
        return content

    assert asyncio.run(fill()) == b"x" * size


def test_spool_counts_beyond_its_limit() -> None:
    async def fill() -> Spool:
        spool = Spool(max_bytes=10)
        for _ in range(5):
            await spool.write(b"12345")
        return spool

    spool = asyncio.run(fill())
    assert (spool.size_bytes, spool.is_over_limit) == (25, True)
