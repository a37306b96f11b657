"""One uploaded file on its way to the store: hashed as it comes, in memory while small, on disk beyond, capped.

A file that grows past the limit is read to its end but no longer kept, so that the files behind it still arrive.
"""

import hashlib
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from anyio import to_thread

MEMORY_BYTES = 1_000_000
HEAD_BYTES = 256  # enough to tell every format by its magic bytes


class Spool:
    """Takes the bytes of one file."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._file = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""

    @property
    def sha256(self) -> str:
        """Of all bytes that came, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def is_over_limit(self) -> bool:
        """Whether more came than is kept."""
        return self.size_bytes > self._max_bytes

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.head += data[: HEAD_BYTES - len(self.head)]
        self.size_bytes += len(data)
        if self.is_over_limit:
            self.close()
        elif self.size_bytes > MEMORY_BYTES:
            await to_thread.run_sync(self._file.write, data)
        else:
            self._file.write(data)

    def rewound(self) -> IO[bytes]:
        """The file, to be read from its start."""
        self._file.seek(0)
        return cast(IO[bytes], self._file)

    def close(self) -> None:
        """Forget the bytes; closing twice is harmless."""
        self._file.close()
