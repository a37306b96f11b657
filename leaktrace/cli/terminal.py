"""What is written to the terminal: where it goes, and how text that others wrote is made harmless.

File names and reasons come from outside; they may hold escape sequences, markup or characters that reverse the line,
so they pass through `printable` before they are shown.
"""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control, format (which includes the bidirectional overrides), surrogate and unassigned characters, separators.
UNSHOWN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def output() -> "Console":
    """Standard output. Nothing in its strings is read as markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def messages() -> "Console":
    """Standard error, for what is not a command's result."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def printable(text: str) -> str:
    """The text with every character that could disturb a terminal written as an escape."""
    return "".join(_shown(character) for character in text)


def styled(text: str, style: str) -> "Text":
    """Text from outside, made harmless, in a style."""
    from rich.text import Text

    return Text(printable(text), style=style)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in UNSHOWN_CATEGORIES:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
