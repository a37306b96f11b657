"""The operator's page tells of every setting, with the default that holds, and of every event that it names."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from leaktrace.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations.md").read_text()
ROW = re.compile(r"^\| `LEAKTRACE_(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def shown(default: object) -> str:
    if default is PydanticUndefined:
        return "required"
    return "unset" if default is None else f"`{default}`"


def test_settings_table_is_complete() -> None:
    defaults = {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}
    assert dict(ROW.findall(PAGE)) == defaults


def events_of_the_page() -> list[str]:
    table = PAGE.partition("| Event | Means |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [event for cell in first_cells for event in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("event", events_of_the_page())
def test_named_event_is_logged(event: str) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "worker").glob("*.py"))
    assert f'"{event}"' in sources


def test_page_names_events() -> None:
    assert len(events_of_the_page()) > 10
