"""Results as lines and cells."""

import csv
import json
from io import BytesIO, StringIO
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import read_table

from api.errors import NotAcceptable
from api.examples import ATTRIBUTION, EXAMPLE_ID, EXAMPLE_SHA256
from api.result_formats import COLUMNS, choose_format, write_csv, write_ndjson, write_parquet
from api.result_schemas import Attribution, ImageFacts, Result
from api.schemas import Refusal

NIL = UUID(int=0)
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)


def result(custom_id: str = "a", *, failed: bool = False) -> Result:
    image = ImageFacts(
        id=UUID(EXAMPLE_ID), sha256=EXAMPLE_SHA256, size_bytes=1, format="JPEG", width=128, height=129
    )
    return Result(
        item_id=NIL,
        batch_id=NIL,
        custom_id=custom_id,
        file_name=custom_id,
        state="failed" if failed else "succeeded",
        error=Refusal(code="truncated", detail="it ends early") if failed else None,
        image=None if failed else image,
        attribution=None if failed else Attribution.model_validate(ATTRIBUTION),
    )


def rows(*results: Result) -> list[dict[str, str]]:
    text = b"".join(write_csv([list(results)])).decode()
    return list(csv.DictReader(StringIO(text, newline="")))


@given(st.lists(st.integers(0, 5), max_size=5))
def test_last_line_counts_the_others(sizes: list[int]) -> None:
    lines = b"".join(write_ndjson([[result()] * size for size in sizes])).splitlines()
    assert json.loads(lines[-1]) == {"type": "end", "count": len(lines) - 1}


def test_every_line_is_a_result() -> None:
    first = json.loads(next(iter(write_ndjson([[result("ü\u2028")]]))))
    assert (first["type"], first["custom_id"]) == ("result", "ü\u2028")


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_formula_is_made_text(start: str) -> None:
    assert rows(result(f"{start}cmd|' /C calc'!A0"))[0]["custom_id"] == f"'{start}cmd|' /C calc'!A0"


@given(TEXT)
def test_no_cell_begins_a_formula(custom_id: str) -> None:
    cells = rows(result(custom_id))[0]
    assert not cells["custom_id"].startswith(("=", "+", "-", "@"))
    assert cells["custom_id"].removeprefix("'") == custom_id.removeprefix("'")


def test_negative_number_stays_a_number() -> None:
    shown = result()
    assert shown.attribution is not None
    shown.attribution.p_value = -0.5
    assert rows(shown)[0]["p_value"] == "-0.5"


def test_every_row_fills_the_columns() -> None:
    lines = b"".join(write_csv([[result(), result(failed=True)]])).decode()
    assert {len(row) for row in csv.reader(StringIO(lines, newline=""))} == {len(COLUMNS)}


def test_cells_stand_under_their_columns() -> None:
    row = rows(result())[0]
    assert (row["verdict"], row["generator"], row["width"]) == ("generator", "sdxl-1.0", "128")
    assert (row["model_version"], row["attributed_at"][:4]) == (ATTRIBUTION["model_version"], "2026")


def test_failed_row_has_its_code() -> None:
    row = rows(result(failed=True))[0]
    assert (row["error_code"], row["verdict"], row["sha256"]) == ("truncated", "", "")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/html, */*;q=0.8", "json"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv, application/json;q=0.5", "csv"),
        ("text/*", "csv"),
        ("application/json;q=0, */*", "ndjson"),
    ],
)
def test_accept_header_chooses(accept: str | None, chosen: str) -> None:
    assert choose_format(None, accept=accept) == chosen


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/csv;q=none"])
def test_nothing_acceptable_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_format(None, accept=accept)


def test_parameter_overrides_header() -> None:
    assert choose_format("csv", accept="application/json") == "csv"


@settings(deadline=None, max_examples=10)  # the first one imports pyarrow
@given(st.lists(st.integers(0, 3), max_size=4))
def test_parquet_gives_rows_back(sizes: list[int]) -> None:
    pages = [[result(f"{page}-{n}", failed=n == 1) for n in range(size)] for page, size in enumerate(sizes)]
    table = read_table(BytesIO(b"".join(write_parquet(pages))))
    assert tuple(table.column_names) == COLUMNS
    assert table.column("custom_id").to_pylist() == [one.custom_id for page in pages for one in page]
    assert table.column("error_code").to_pylist() == [
        one.error.code if one.error else None for page in pages for one in page
    ]


def test_parquet_keeps_types() -> None:
    row = read_table(BytesIO(b"".join(write_parquet([[result("=1+1")]])))).to_pylist()[0]
    assert (row["custom_id"], row["size_bytes"]) == ("=1+1", 1)
    assert isinstance(row["p_value"], float)
    assert row["attributed_at"].tzinfo is not None


def test_parquet_keeps_no_page() -> None:
    chunks = [len(chunk) for chunk in write_parquet([[result(str(n)) for n in range(50)]] * 20)]
    assert len(chunks) == 21
    assert max(chunks[1:20]) < 2 * min(chunks[1:20])
