"""The HTML report: what it says, and that nothing in it comes to life."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from leaktrace.cli.report import MOST_CARDS, build_report, write_report
from leaktrace.cli.summary import summarise
from leaktrace.cli.terminal import printable
from leaktrace.cli.thumbnails import make_thumbnails
from leaktrace.client import FileAnswer, Result, UploadFile
from tests.submissions import picture
from tests.unit.client.fake_service import result

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>.png'


class Elements(HTMLParser):
    """Collects the elements of a page and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(results: list[Result], tmp_path: Path, *, refused: tuple[FileAnswer, ...] = ()) -> str:
    report = build_report(
        results,
        refused,
        summary=summarise(results, refused),
        names={},
        thumbnails={"a.png": "data:image/webp;base64,AAAA"},
        origin="<marquee>here</marquee>",
        seconds=2.0,
    )
    write_report(report, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


@pytest.fixture
def results() -> list[Result]:
    error = {"code": "truncated", "detail": HOSTILE}
    failed = result(HOSTILE, state="failed", error=error) | {"attribution": None}
    return [Result.model_validate(entry) for entry in (result("a.png"), failed)]


def test_hostile_names_stay_text(results: list[Result], tmp_path: Path) -> None:
    elements = Elements(page_of(results, tmp_path)).found
    assert not [tag for tag, _ in elements if tag in ("script", "marquee", "iframe", "object")]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]


def test_nothing_is_loaded(results: list[Result], tmp_path: Path) -> None:
    elements = Elements(page_of(results, tmp_path)).found
    sources = [attributes.get("src") for tag, attributes in elements if tag == "img"]
    assert sources == ["data:image/webp;base64,AAAA"]
    assert not [tag for tag, attributes in elements if "href" in attributes or tag == "link"]


def test_policy_forbids_scripts(results: list[Result], tmp_path: Path) -> None:
    policies = [
        a.get("content") or "" for _, a in Elements(page_of(results, tmp_path)).found if "http-equiv" in a
    ]
    assert policies[0].startswith("default-src 'none'")


def test_report_names_its_limits(results: list[Result], tmp_path: Path) -> None:
    assert "evidence, not proof" in page_of(results, tmp_path)


@pytest.mark.parametrize(
    "said", ["sdxl-1.0", "p = 0.400", "it fits", "90.0%", "truncated", "starter-1", "50"]
)
def test_report_says_what_was_found(results: list[Result], tmp_path: Path, said: str) -> None:
    assert said in page_of(results, tmp_path)


def test_refused_files_are_shown(tmp_path: Path) -> None:
    refused = FileAnswer.model_validate(
        {"custom_id": "z.png", "status": "refused", "error": {"code": "empty", "detail": "no bytes"}}
    )
    assert "z.png" in page_of([], tmp_path, refused=(refused,))


def test_long_report_is_cut_and_says_so(tmp_path: Path) -> None:
    many = [Result.model_validate(result(f"{place}.png")) for place in range(MOST_CARDS + 1)]
    page = page_of(many, tmp_path)
    assert page.count("<article") == MOST_CARDS
    assert f"The first {MOST_CARDS} of {MOST_CARDS + 1} images" in page


def test_direction_overrides_are_made_visible() -> None:
    assert printable("evil\u202egnp.exe") == "evil\\u202egnp.exe"


def test_ordinary_names_are_kept() -> None:
    assert printable("Öl, 画像 (1) – été.png") == "Öl, 画像 (1) – été.png"


def test_broken_image_has_no_thumbnail() -> None:
    files = [
        UploadFile.from_bytes(picture(1), custom_id="good.png"),
        UploadFile.from_bytes(b"junk", custom_id="bad.png"),
        UploadFile.from_bytes(picture(2), custom_id="other.png"),
    ]
    assert list(make_thumbnails(files, {"good.png", "bad.png"})) == ["good.png"]
