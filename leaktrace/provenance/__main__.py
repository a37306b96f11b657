"""The reading process: files come on standard input, each behind its length; an answer goes out as one line of JSON.

It limits its own memory and can write no file. A file that breaks a parser breaks this process at most, and whoever
started it ends it when an answer takes too long.
"""

import os
import resource
import struct
import sys
from typing import BinaryIO

from leaktrace.provenance.credentials import read_credentials
from leaktrace.provenance.facts import Credentials, Entry, Exif, Provenance
from leaktrace.provenance.metadata import read_metadata
from leaktrace.science.containers import sniff_format

MEMORY_BYTES = 3 * 1024**3
OPEN_FILES = 64


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    while (data := _next_file(sys.stdin.buffer)) is not None:
        answers.write(examine(data).model_dump_json().encode() + b"\n")
        answers.flush()


def examine(data: bytes) -> Provenance:
    """Everything of one file; what cannot be read is said to be unreadable."""
    image_format = sniff_format(data)
    if image_format is None:
        return Provenance(exif=Exif(state="unreadable"), credentials=Credentials(state="unreadable"))
    exif, texts = _metadata(data, image_format)
    return Provenance(exif=exif, texts=texts, credentials=read_credentials(data, image_format))


def _metadata(data: bytes, image_format: str) -> tuple[Exif, list[Entry]]:
    try:
        return read_metadata(data, image_format)
    except Exception:  # Pillow's readers signal bad files by almost every built-in exception
        return Exif(state="unreadable"), []


def _next_file(stream: BinaryIO) -> bytes | None:
    head = stream.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack(">Q", head)
    data = stream.read(length)
    return data if len(data) == length else None


if __name__ == "__main__":
    main()
