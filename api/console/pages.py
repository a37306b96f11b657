"""How a page is made: the one template environment, what every page is given, and how numbers and times are written.

Templates escape everything; nothing marks text of a client as safe. The theme that a person chose travels
in a cookie that only the pages' scripts write.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.console.navigation import entries_for
from api.console.static_files import asset_path
from api.dependencies import Services
from api.sessions import forgery_token
from leaktrace import __version__
from leaktrace.records.console_sessions import Visitor

ROOT = Path(__file__).parent
THEMES = ("light", "dark")
ICONS = {path.stem: Markup(path.read_text()) for path in (ROOT / "icons").glob("*.svg")}  # noqa: S704 - our own files


def render(
    request: Request,
    template: str,
    /,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A template as an answer; `context` is what it needs beside what every page has."""
    services: Services = request.app.state.services
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    theme = request.cookies.get("leaktrace_theme", "")
    every_page = {
        "visitor": visitor,
        "navigation": entries_for(visitor),
        "forgery_token": forgery_token(request, services),
        "theme": theme if theme in THEMES else "system",
        "thumbnails": "blurred" if services.settings.console_blur_thumbnails else "plain",
        "here": request.url.path,
    }
    text = templates.get_template(template).render({**every_page, **context})
    return HTMLResponse(text, status, headers=headers)


def count(number: int) -> str:
    """A whole number with thin spaces between thousands, as 12 345."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(number: float) -> str:
    """Bytes in the unit that leaves one to three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def decimal(number: float) -> str:
    """A probability or p-value: three digits behind the point, or the power where they would all be zero."""
    return f"{number:.3f}" if number >= 0.001 or number == 0 else f"{number:.1e}"


def ago(moment: datetime) -> str:
    """How long ago, in words; the exact moment belongs into the element's title."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    return f"{duration(seconds)} ago" if seconds < 60 else f"{duration(seconds).rsplit(' ', 2)[0]} ago"


def moment(value: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def capitalize_first(text: str) -> str:
    """The text as the beginning of a sentence; a name that it begins with, as sdxl-1.0, stays as it is."""
    is_word = text.partition(" ")[0].strip(",.;:").isalpha()
    return text[:1].upper() + text[1:] if is_word else text


def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "capitalize_first": capitalize_first,
            "count": count,
            "size": size,
            "duration": duration,
            "decimal": decimal,
            "ago": ago,
            "moment": moment,
        }
    )
    environment.globals.update(asset=asset_path, icon=ICONS.__getitem__, version=__version__)
    return environment


templates = _make_environment()
