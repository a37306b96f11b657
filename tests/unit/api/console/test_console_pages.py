"""How pages write numbers, and where a sign-in may lead."""

import pytest

from api.console.pages import capitalize_first, count, decimal, duration, size, templates
from api.console.sign_in import START, _own_path
from api.console.static_files import asset_path


@pytest.mark.parametrize(
    ("seconds", "written"), [(5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_duration_has_two_units(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize(("number", "written"), [(0.25, "0.250"), (0.0, "0.000"), (0.00004, "4.0e-05")])
def test_small_decimal_keeps_digits(number: float, written: str) -> None:
    assert decimal(number) == written


@pytest.mark.parametrize(("number", "written"), [(999, "999 B"), (1500, "1.5 kB"), (2_340_000, "2.3 MB")])
def test_size_has_fitting_unit(number: int, written: str) -> None:
    assert size(number) == written


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("fitted again", "Fitted again"), ("sdxl-1.0 went up", "sdxl-1.0 went up"), ("", "")],
)
def test_sentence_leaves_names_alone(text: str, sentence: str) -> None:
    assert capitalize_first(text) == sentence


def test_count_separates_thousands() -> None:
    assert count(1234567).split("\N{NARROW NO-BREAK SPACE}") == ["1", "234", "567"]


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/console\\evil",
        "/consolex",
        "/v1/batches",
        "/console/\r\nX: y",
    ],
)
def test_sign_in_leads_nowhere_else(path: str) -> None:
    assert _own_path(path) == START


def test_sign_in_leads_back() -> None:
    assert _own_path("/console/batches?state=completed") == "/console/batches?state=completed"


def test_templates_escape_clients_text() -> None:
    made = templates.from_string("{{ name }}").render(name="<script>alert(1)</script>")
    assert "<script>" not in made


def test_templates_hold_no_inline_code() -> None:
    sources = [templates.loader.get_source(templates, name)[0] for name in templates.list_templates()]  # type: ignore[union-attr]
    assert not [text for text in sources if "style=" in text or " onclick" in text or "<script>" in text]


def test_unknown_asset_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        asset_path("missing.css")
