"""What files say of their origin, read in a process of its own: present, valid, invalid, absent, and never believed."""

import os
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from leaktrace.provenance import ProvenanceReader
from leaktrace.provenance.__main__ import examine
from leaktrace.provenance.facts import MAX_TEXT_CHARACTERS, told
from tests import credentials


def jpeg(exif: Image.Exif | None = None) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **({"exif": exif} if exif else {}))
    return file.getvalue()


@pytest.fixture(scope="module")
def signed() -> bytes:
    return credentials.sign(jpeg())


@pytest.fixture(scope="module")
def reader() -> Iterator[ProvenanceReader]:
    with ProvenanceReader(answer_seconds=120) as started:
        yield started


def test_plain_file_says_nothing() -> None:
    found = examine(jpeg())
    assert (found.exif.state, found.texts, found.credentials.state) == ("absent", [], "absent")


def test_signed_file_is_valid(signed: bytes) -> None:
    found = examine(signed).credentials
    assert (found.state, found.signer, found.is_signer_trusted) == ("valid", credentials.SIGNER, False)
    assert (found.made_with, found.source_types) == (
        [f"{credentials.PROGRAM} 1.2"],
        [credentials.SOURCE_TYPE],
    )


def test_changed_pixels_are_invalid(signed: bytes) -> None:
    changed = bytearray(signed)
    changed[-200] ^= 0xFF
    found = examine(bytes(changed)).credentials
    assert (found.state, found.problems) == ("invalid", ["assertion.dataHash.mismatch"])


def test_changed_statement_is_invalid(signed: bytes) -> None:
    changed = signed.replace(credentials.PROGRAM.encode(), b"Fake Painter")
    assert examine(changed).credentials.state == "invalid"


def test_statement_elsewhere_is_not_fetched() -> None:
    found = examine(credentials.sign(jpeg(), remote_url="http://127.0.0.1:9/manifest.c2pa")).credentials
    assert (found.state, found.signer) == ("present", None)


def test_exif_names_camera_but_no_place() -> None:
    exif = Image.Exif()
    exif[271], exif[305] = "Maker", "Program <b>1</b>"
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 3.0)
    found = examine(jpeg(exif)).exif
    assert [(entry.name, entry.value) for entry in found.entries] == [
        ("Make", "Maker"),
        ("Software", "Program <b>1</b>"),
    ]
    assert found.has_position


def test_prompt_in_png_is_told() -> None:
    info = PngInfo()
    info.add_text("parameters", "a castle\nSteps: 30")
    file = BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG", pnginfo=info)
    (entry,) = examine(file.getvalue()).texts
    assert (entry.name, entry.value) == ("parameters", "a castle Steps: 30")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=2000))
def test_told_text_is_one_bounded_line(text: str) -> None:
    said = told(text)
    assert len(said) <= MAX_TEXT_CHARACTERS + 1
    assert all(each.isprintable() for each in said)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    for head in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00"):
        assert examine(head + data).credentials.state in ("absent", "unreadable", "invalid")


def test_process_answers_file_after_file(reader: ProvenanceReader, signed: bytes) -> None:
    states = [reader.read(data).credentials.state for data in (signed, jpeg(), b"", signed)]
    assert states == ["valid", "absent", "unreadable", "valid"]


def test_broken_process_is_replaced(reader: ProvenanceReader) -> None:
    reader.read(jpeg())
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()
    assert reader.read(jpeg()).credentials.state == "unreadable"
    assert reader.read(jpeg()).credentials.state == "absent"


def test_slow_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    began = time.monotonic()
    with ProvenanceReader(answer_seconds=0.1) as reader:
        assert reader.read(jpeg()).exif.state == "unreadable"
    assert time.monotonic() - began < 30


def test_process_is_given_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKTRACE_S3_SECRET_KEY", "a secret")
    with ProvenanceReader() as reader:
        assert reader.read(jpeg()).credentials.state == "absent"  # so that it has begun
        assert reader._process is not None
        environment = Path(f"/proc/{reader._process.pid}/environ").read_bytes()
    assert b"LEAKTRACE" not in environment
    assert os.environ["PATH"].encode() in environment
