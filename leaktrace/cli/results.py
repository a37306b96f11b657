"""`leaktrace results`: the outcomes of a batch as a table, NDJSON, CSV, JSON or Parquet, on the terminal or in a file.

NDJSON, CSV and Parquet are passed on as the service writes them; a file is put in place only when it is whole.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect
from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from leaktrace.client import Client, Result
    from leaktrace.client.results import ExportFormat


class Format(StrEnum):
    """How results are written."""

    table = "table"
    ndjson = "ndjson"
    csv = "csv"
    json = "json"
    parquet = "parquet"


EXPORTED: "dict[Format, ExportFormat]" = {
    Format.ndjson: "ndjson",
    Format.csv: "csv",
    Format.parquet: "parquet",
}


def results(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file; not for tables.")] = None,
    fdr: Annotated[
        float | None,
        typer.Option(help="Also say which images are unseen at this false discovery rate over the batch."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of a table.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show or save the results of a batch, finished or not."""
    if form is Format.table and out is not None:
        raise typer.BadParameter("a table is not written to a file; choose another --format")
    if form is Format.parquet and out is None:
        raise typer.BadParameter("Parquet is written to a file; give --out")
    with connect(url, key) as client:
        if form is Format.table:
            _print_table(client, batch_id, limit=limit, fdr=fdr)
        elif out is None:
            _write_to_terminal(_lines(client, form, batch_id=batch_id, fdr=fdr))
        else:
            write_to_file(_lines(client, form, batch_id=batch_id, fdr=fdr), out)


def _lines(client: "Client", form: Format, *, batch_id: str, fdr: float | None) -> Iterator[bytes]:
    if form is Format.json:
        return _json_array(client.results(batch_id, fdr=fdr))
    return client.export(batch_id, EXPORTED[form], fdr=fdr)


def _json_array(found: "Iterable[Result]") -> Iterator[bytes]:
    """One JSON array, an element a line, without holding it all."""
    separator = b"[\n"
    for result in found:
        yield separator + json.dumps(result.model_dump(mode="json"), ensure_ascii=False).encode()
        separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"


def _write_to_terminal(lines: Iterable[bytes]) -> None:
    for line in lines:
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def write_to_file(lines: Iterable[bytes], out: Path) -> None:
    """Write the file whole or not at all. Raises InvalidInput when it cannot be written."""
    partial = out.with_name(f"{out.name}.partial")
    try:
        with partial.open("wb") as file:
            file.writelines(lines)
        partial.replace(out)
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}; choose another --out") from error
    finally:
        partial.unlink(missing_ok=True)


def _print_table(client: "Client", batch_id: str, *, limit: int, fdr: float | None) -> None:
    from leaktrace.cli.terminal import messages, output

    rows = list(islice(client.results(batch_id, fdr=fdr), limit + 1))
    output().print(_table(rows[:limit]))
    if len(rows) > limit:
        messages().print(
            f"the first {limit}; all: leaktrace results {batch_id} --format ndjson", soft_wrap=True
        )


def _table(rows: "Iterable[Result]") -> "Table":
    from rich.table import Table

    from leaktrace.cli.terminal import styled

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("verdict")
    table.add_column("p-value", justify="right")
    table.add_column("reason", overflow="fold")
    for result in rows:
        verdict, style, p_value, reason = _cells(result)
        table.add_row(styled(result.custom_id, ""), styled(verdict, style), p_value, styled(reason, ""))
    return table


def _cells(result: "Result") -> tuple[str, str, str, str]:
    """Verdict, its style, p-value and reason of one result."""
    found = result.attribution
    if found is None:
        reason = f"{result.error.code}: {result.error.detail}" if result.error else ""
        return result.state, "red" if result.error else "bright_black", "", reason
    reason = found.reason
    if result.discovery is not None:
        said = "unseen" if result.discovery.unseen else "not unseen"
        reason += f" Over the batch: {said} at a false discovery rate of {result.discovery.rate:g}."
    style = {"unseen": "yellow", "inconclusive": "bright_black"}.get(found.verdict, "green")
    return found.generator or found.verdict, style, f"{found.p_value:.3f}", reason
