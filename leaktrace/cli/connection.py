"""How a command finds the service: `--url` and `--key`, the environment, or what the local stack wrote.

The stack writes `.leaktrace/credentials.json` (0600) beside the project; it is looked for here and in the folders
above. Its key is only ever sent to the address that stands beside it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from leaktrace.client import Client

CREDENTIALS = Path(".leaktrace", "credentials.json")
UrlOption = Annotated[
    str | None, typer.Option("--url", envvar="LEAKTRACE_API_URL", help="Address of the service.")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", envvar="LEAKTRACE_API_KEY", help="API key; better given by the environment."),
]


class NoCredentials(InvalidInput):
    """Neither options nor environment nor a local stack say which service is meant, or which key to use."""

    code = "no_credentials"


def connect(url: str | None, key: str | None, *, start: Path | None = None) -> "Client":
    """A client of the service that options, environment or a local stack name. Opens no connection yet."""
    from leaktrace.client import Client

    if url and key:
        return Client(url, key)
    known_url, known_key = _read_credentials(start or Path.cwd())
    url = url or known_url
    if key is None and url == known_url:
        key = known_key
    if not url or not key:
        missing = (
            "the address (--url or LEAKTRACE_API_URL)" if not url else "a key (--key or LEAKTRACE_API_KEY)"
        )
        raise NoCredentials(
            f"{missing} of the service is not known, and no local stack has written {CREDENTIALS}; "
            "start one with `make up`, or give it"
        )
    return Client(url, key)


def _read_credentials(start: Path) -> tuple[str | None, str | None]:
    """Address and key from the nearest credentials file, here or above."""
    for folder in (start, *start.parents):
        path = folder / CREDENTIALS
        if path.is_file():
            return _parsed(path)
    return None, None


def _parsed(path: Path) -> tuple[str, str]:
    try:
        document = json.loads(path.read_text())
        return str(document["url"]).rstrip("/"), str(document["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoCredentials(
            f"{path} cannot be read ({error}); delete it and start the stack again"
        ) from error
