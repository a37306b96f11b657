"""Starts the reading process, hands it files one by one, and ends it when one takes too long.

It is given neither our environment nor our connections. A file that it cannot answer for is `unreadable`; the next one
gets a new process.
"""

import os
import struct
import subprocess
import sys
from threading import Timer
from types import TracebackType

from pydantic import ValidationError

from leaktrace.provenance.facts import Provenance, unreadable

ANSWER_SECONDS = 10.0
MAX_ANSWER_BYTES = 1_000_000
PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")


class ProvenanceReader:
    """Reads provenance while a block runs: `with ProvenanceReader() as reader`. For one thread at a time."""

    def __init__(self, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ProvenanceReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, data: bytes) -> Provenance:
        """What the file says of its origin; `unreadable` when it cannot be examined in time."""
        process = self._process or self._start()
        deadline = Timer(self._answer_seconds, process.kill)
        deadline.start()
        try:
            answer = _ask(process, data)
            return Provenance.model_validate_json(answer)
        except (OSError, ValidationError):
            self.close()
            return unreadable()
        finally:
            deadline.cancel()

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "leaktrace.provenance"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        return self._process


def _ask(process: "subprocess.Popen[bytes]", data: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise OSError("the reading process has no pipes")
    process.stdin.write(struct.pack(">Q", len(data)))
    process.stdin.write(data)
    process.stdin.flush()
    return process.stdout.readline(MAX_ANSWER_BYTES)
