"""Results as NDJSON, CSV and Parquet, as streams of bytes made page by page.

NDJSON ends with a line that counts what came before it, so that a truncation shows. CSV is for spreadsheets: cells
that one would read as a formula are made text. Parquet has the same columns with their types, a row group a page.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Literal

from pydantic import BaseModel

from api.errors import NotAcceptable
from api.parquet import ColumnType, write_rows
from api.result_schemas import Result

Format = Literal["json", "ndjson", "csv", "parquet"]
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
COLUMN_TYPES: dict[str, ColumnType] = {
    "p_value": "float", "smallest_p": "float", "alpha": "float", "size_bytes": "whole", "width": "whole",
    "height": "whole", "attributed_at": "moment", "adjusted_p": "float",
}  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "custom_id", "file_name", "item_id", "state", "error_code", "error_detail", "verdict", "generator", "p_value",
    "smallest_p", "alpha", "reason", "probabilities", "image_id", "sha256", "size_bytes", "format", "width",
    "height", "attribution_id", "model_version", "density_version", "attributed_at", "label", "label_generator",
    "adjusted_p", "unseen_at_fdr", "stratum",
)  # fmt: skip


def choose_format(asked: Format | None, *, accept: str | None) -> Format:
    """`?format=` decides; without it the most welcome of the Accept header, JSON when all are alike.

    Raises:
        NotAcceptable: the header rules them all out.
    """
    if asked is not None:
        return asked
    welcome = _qualities(accept or "*/*")
    best = max(MEDIA_TYPES, key=lambda name: _quality(welcome, MEDIA_TYPES[name]))
    if _quality(welcome, MEDIA_TYPES[best]) == 0:
        raise NotAcceptable(f"offered are {', '.join(MEDIA_TYPES.values())}")
    return best


def write_ndjson(pages: Iterable[Sequence[BaseModel]]) -> Iterator[bytes]:
    """One line a result, and the end line."""
    count = 0
    for page in pages:
        count += len(page)
        yield b"".join(result.model_dump_json().encode() + b"\n" for result in page)
    yield json.dumps({"type": "end", "count": count}).encode() + b"\n"


def write_csv(pages: Iterable[list[Result]]) -> Iterator[bytes]:
    """RFC 4180 with a header line, in UTF-8."""
    return write_table(COLUMNS, (map(_cells, page) for page in pages))


def write_table(columns: Sequence[str], pages: Iterable[Iterable[Iterable[object]]]) -> Iterator[bytes]:
    """The same for rows of any kind."""
    yield _lines([columns])
    for page in pages:
        yield _lines([_as_text(cell) for cell in row] for row in page)


def write_parquet(pages: Iterable[list[Result]]) -> Iterator[bytes]:
    """A row group a page; the columns of the CSV."""
    types = {name: COLUMN_TYPES.get(name, "text") for name in COLUMNS}
    yield from write_rows(types, ([_cells(result) for result in page] for page in pages))


WRITERS: dict[Format, Callable[[Iterable[list[Result]]], Iterator[bytes]]] = {
    "ndjson": write_ndjson,
    "csv": write_csv,
    "parquet": write_parquet,
}


def _cells(result: Result) -> list[object]:
    error, image, found = result.error, result.image, result.attribution
    cells: list[object] = [result.custom_id, result.file_name, result.item_id, result.state]
    cells += [error.code, error.detail] if error else [None] * 2
    if found:
        cells += [found.verdict, found.generator, found.p_value, found.smallest_p, found.alpha, found.reason]
    else:
        cells += [None] * 6
    cells.append(json.dumps(found.probabilities) if found else None)
    if image:
        cells += [image.id, image.sha256, image.size_bytes, image.format, image.width, image.height]
    else:
        cells += [None] * 6
    if found:
        cells += [found.id, found.model_version, found.density_version, found.created_at]
    else:
        cells += [None] * 4
    cells += [result.label.kind, result.label.generator] if result.label else [None] * 2
    found_unseen = result.discovery
    cells += [found_unseen.adjusted_p, str(found_unseen.unseen).lower()] if found_unseen else [None] * 2
    cells.append(found.calibration.stratum if found and found.calibration else None)
    return cells


def _as_text(cell: object) -> object:
    """As CSV holds it: a moment in ISO 8601, and nothing that a spreadsheet would run."""
    if isinstance(cell, datetime):
        return cell.isoformat()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _qualities(accept: str) -> dict[str, float]:
    qualities: dict[str, float] = {}
    for member in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in member.split(";"))
        given = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
        try:
            qualities[media_range] = float(given[0]) if given else 1.0
        except ValueError:
            qualities[media_range] = 0.0
    return qualities


def _quality(welcome: dict[str, float], media_type: str) -> float:
    """Of the most specific range that covers the type (RFC 9110, 12.5.1)."""
    ranges = (media_type, media_type.split("/")[0] + "/*", "*/*")
    return next((welcome[each] for each in ranges if each in welcome), 0.0)
