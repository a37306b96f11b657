"""Rows as a Parquet stream: a row group a page, so that memory holds one page however long the stream is.

The writer thinks that it writes a file from beginning to end; what it has written is taken away after every page.
Knows nothing of results.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import RawIOBase
from typing import Any, Literal
from uuid import UUID

ColumnType = Literal["text", "float", "whole", "moment"]


def write_rows(
    columns: Mapping[str, ColumnType], pages: Iterable[Sequence[Sequence[object]]]
) -> Iterator[bytes]:
    """Rows whose cells are in the order of `columns`; None is null, a UUID is text."""
    import pyarrow as arrow  # here, since only whoever asks for Parquet shall wait for it
    from pyarrow.parquet import ParquetWriter

    types = {"text": arrow.string(), "float": arrow.float64(), "whole": arrow.int64()}
    types["moment"] = arrow.timestamp("us", tz="UTC")
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    sink = _Sink()
    with ParquetWriter(sink, schema, compression="zstd") as writer:
        for page in filter(None, pages):
            cells = zip(*([_plain(cell) for cell in row] for row in page), strict=True)
            arrays = [arrow.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _plain(cell: object) -> object:
    return str(cell) if isinstance(cell, UUID) else cell


class _Sink(RawIOBase):
    """A file that remembers how long it is, and of its bytes those that were not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()
        self._length = 0

    def writable(self) -> bool:
        """See `RawIOBase.writable`."""
        return True

    def write(self, data: Any) -> int:
        """See `RawIOBase.write`."""
        self._bytes += data
        self._length += len(data)
        return len(data)

    def tell(self) -> int:
        """See `RawIOBase.tell`."""
        return self._length

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
