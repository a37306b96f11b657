"""A case report's chain: it holds as written, and names the first entry that anybody touched."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.examples import ATTRIBUTION, EXAMPLE_SHA256, IMAGE_RECORD, LABEL, PROVENANCE
from leaktrace.casefile import FIRST, ChainBroken, Link, ReportWriter, Subject, verify
from leaktrace.casefile.chain import read_link
from leaktrace.cli import app

SUBJECT = Subject(
    kind="batch",
    id="019ab1f0",
    name="night <script>alert(1)</script> shift",
    tenant="acme",
    actor="operator:ada",
    made_at=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
    service="0.1.0",
    limits=("Only known generators can be named.",),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CONTENT = st.dictionaries(st.text(), JSON, max_size=5)


def facts(**changes: Any) -> dict[str, Any]:
    image = {
        name: IMAGE_RECORD[0][name] for name in ("id", "sha256", "size_bytes", "format", "width", "height")
    }
    return {
        "image": image,
        "appearances": IMAGE_RECORD[0]["appearances"],
        "attribution": ATTRIBUTION,
        "labels": LABEL,
        "provenance": PROVENANCE[0],
        **changes,
    }


def written(path: Path, images: int = 3) -> tuple[Path, list[bytes]]:
    """A report in a file, and its pieces."""
    writer = ReportWriter()
    pieces = [writer.head(SUBJECT)]
    pieces += [writer.image(facts(), picture=b"a picture") for _ in range(images)]
    pieces.append(writer.end())
    path.write_bytes(b"".join(pieces))
    return path, pieces


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return written(tmp_path / "report.html")[0]


@settings(max_examples=60, deadline=None)
@given(content=CONTENT, shown=st.text(), before=st.text())
def test_entry_reads_back_whole(content: dict[str, Any], shown: str, before: str) -> None:
    link = Link(1, content, shown, before)
    line = link.markup()
    assert line.count(b"\n") == 1
    assert line.count(b"<") == 2  # its own tags alone
    printed, again = read_link(line)
    assert (again.canonical, printed) == (link.canonical, link.hash)


@settings(max_examples=60, deadline=None)
@given(content=CONTENT, other=CONTENT)
def test_hash_tells_contents_apart(content: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(content, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (Link(1, content, "", FIRST).hash == Link(1, other, "", FIRST).hash) == same


def test_report_holds_as_written(report: Path) -> None:
    found = verify(report)
    assert (found.entries, found.images) == (5, 3)
    assert found.final_hash.encode() in report.read_bytes().splitlines()[-3]


def test_report_asks_nobody_and_runs_nothing(report: Path) -> None:
    page = report.read_text()
    assert "night &lt;script&gt;" in page
    assert page.count("<script") == page.count('<script type="application/json"')
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize(
    ("old", "new", "entry"),
    [
        (b"for operator:ada of acme", b"for operator:eve of acme", 1),
        (b"Looks like sdxl-1.0", b"Looks like a photograph", 2),
        (b'"verdict":"generator"', b'"verdict":"unseen"', 2),
        (EXAMPLE_SHA256.encode(), b"0" * 64, 2),
        (b"data:image/jpeg;base64,YS", b"data:image/jpeg;base64,Yi", 2),
        (b"the author published the prompt", b"nobody said a word of this text", 2),
        (b"End of the report: 3", b"End of the report: 2", 5),
        (b"Final hash <code>", b"Final hash <code>0", 5),
        (b"</style>", b".bad{display:none}</style>", 1),
    ],
)
def test_change_names_its_entry(report: Path, old: bytes, new: bytes, entry: int) -> None:
    report.write_bytes(report.read_bytes().replace(old, new, 1))
    with pytest.raises(ChainBroken) as caught:
        verify(report)
    assert caught.value.number == entry


@pytest.mark.parametrize(
    ("kept", "entry"),
    [((0, 2, 3, 4), 2), ((0, 2, 1, 3, 4), 2), ((0, 1, 1, 2, 3, 4), 3), ((0, 1, 2), 4), ((1, 2), 1)],
)
def test_order_and_number_hold(tmp_path: Path, kept: tuple[int, ...], entry: int) -> None:
    path, pieces = written(tmp_path / "report.html")
    path.write_bytes(b"".join(pieces[index] for index in kept))
    with pytest.raises(ChainBroken) as caught:
        verify(path)
    assert caught.value.number == entry


@settings(max_examples=60, deadline=None)
@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_bit_can_change(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path, pieces = written(tmp_path_factory.mktemp("bits") / "report.html", images=1)
    data = bytearray(b"".join(pieces))
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(ChainBroken):
        verify(path)


def test_missing_parts_are_said() -> None:
    writer = ReportWriter()
    writer.head(SUBJECT)
    page = writer.image(
        facts(attribution=None, image=None, labels=[], provenance=None), picture=None
    ).decode()
    for said in (
        "No verdict",
        "no picture",
        "Nobody has said anything.",
        "Not read.",
        "its bytes never arrived",
    ):
        assert said in page


def test_command_verifies(report: Path) -> None:
    found = verify(report)
    run = CliRunner().invoke(app, ["report", "verify", str(report), "--final", found.final_hash])
    assert run.exit_code == 0
    assert "the chain of 5 entries holds, 3 images" in run.output


def test_command_names_broken_entry(report: Path) -> None:
    report.write_bytes(report.read_bytes().replace(b"Looks like sdxl-1.0", b"Looks like a photograph", 1))
    run = CliRunner().invoke(app, ["report", "verify", str(report)])
    assert run.exit_code == 1
    assert "entry 2 does not hold: what is shown of it was changed" in run.output


def test_command_tells_another_report(report: Path) -> None:
    run = CliRunner().invoke(app, ["report", "verify", str(report), "--final", "0" * 64])
    assert run.exit_code == 1
    assert "it is another report" in run.output
