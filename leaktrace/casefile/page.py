"""Writes a case report piece by piece: a head, one part an image, an end. Memory holds one part at a time.

Templates escape all text. Each piece that is shown is followed by its entry of the chain.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leaktrace.casefile.chain import FIRST, Link

TEMPLATES = Path(__file__).parent / "templates"
METHOD = (
    "Parts of the image are prepared all in one way, which the model's version fixes, encoded into a latent "
    "picture and given growing amounts of noise, which depend on the image alone. A network turns what survives of a "
    "generator's trace into a vector, and compares it with learned examples of each class. The probability says which "
    "class is nearest. The p-value says how usual the image is among images of a class that were set aside: at most "
    "alpha means that the class is ruled out. If all are, the image is called unseen; in doubt, inconclusive.",
    "What the file says of its own origin (EXIF, C2PA) was read beside this and was never used for the verdict.",
)
CAUTION = (
    "This is evidence, not proof. Do not let it alone decide about a person.",
    "Only the generators that the model knows can be named; a relative of a known one may pass for it.",
    "Cropping, resizing, screenshots and strong compression weaken the traces.",
    "The chain shows that the report was not changed after it was made. It does not show that what it says is true.",
)


@dataclass(frozen=True)
class Subject:
    """What a report is about and who asked for it when."""

    kind: str  # image or batch
    id: str
    name: str
    tenant: str
    actor: str
    made_at: datetime
    service: str
    limits: tuple[str, ...] = ()  # as the models' cards state them


class ReportWriter:
    """Turns facts into the report's bytes, in order: `head`, `image` for each, `end`."""

    def __init__(self) -> None:
        self._links = 0
        self._last = FIRST
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(number=_number, named=_named, moment=_moment)
        self._templates = environment

    @property
    def final_hash(self) -> str:
        """The hash of the newest entry: that of the whole report once it has ended."""
        return self._last

    @property
    def entries(self) -> int:
        """Entries so far."""
        return self._links

    def head(self, subject: Subject) -> bytes:
        """The beginning of the page: what it is about, the method, the limits."""
        content = {**vars(subject), "made_at": subject.made_at.isoformat(), "limits": list(subject.limits)}
        content |= {"type": "report", "method": list(METHOD), "caution": list(CAUTION)}
        return self._piece(content, "head.html", content=content)

    def image(self, facts: dict[str, Any], *, picture: bytes | None) -> bytes:
        """One image: plain JSON as the API gives it, and its small JPEG if there is one."""
        source = None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
        content = {"type": "image", **facts}
        return self._piece(content, "image.html", content=content, picture=source, place=self._links)

    def end(self) -> bytes:
        """The last entry, which says how many images there were, and the final hash."""
        images = self._links - 1
        piece = self._piece({"type": "end", "images": images}, "end.html", images=images)
        return piece + closing(self._last)

    def _piece(self, content: dict[str, Any], template: str, /, **shown: Any) -> bytes:
        visible = self._templates.get_template(template).render(**shown).encode().strip() + b"\n"
        link = Link(self._links + 1, content, hashlib.sha256(visible).hexdigest(), self._last)
        self._links, self._last = link.number, link.hash
        return visible + link.markup()


def closing(final_hash: str) -> bytes:
    """What follows the last entry, byte for byte."""
    return (
        f'<p class="final">Final hash <code>{final_hash}</code></p>\n'
        "<p>Anybody can check this file: <code>leaktrace report verify FILE</code></p>\n"
        "</footer></main></body></html>\n"
    ).encode()


def _number(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def _moment(value: str) -> str:
    """An ISO moment in UTC, to the second."""
    return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _named(facts: dict[str, Any]) -> str:
    """The verdict in a few plain words."""
    if facts["verdict"] == "unseen":
        return "No known generator makes images like this"
    if facts["generator"] is None:
        return "The evidence does not decide"
    return "Looks like a photograph" if facts["generator"] == "real" else f"Looks like {facts['generator']}"
