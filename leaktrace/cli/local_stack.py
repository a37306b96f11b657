"""The settings of the database that the environment names, or else of the stack that runs on this machine.

A running stack keeps the addresses of its servers in `.leaktrace/environment.json` (0600), beside its credentials.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from leaktrace.settings import Settings

ENVIRONMENT = Path(".leaktrace", "environment.json")


class NoDatabase(InvalidInput):
    """Neither the environment nor a local stack says where the database is."""

    code = "no_database"


def local_settings(*, start: Path | None = None) -> "Settings":
    """The settings; raises NoDatabase when nothing names the servers."""
    from pydantic import ValidationError

    from leaktrace.settings import Settings

    named = {} if "LEAKTRACE_DATABASE_URL" in os.environ else _of_the_stack(start or Path.cwd())
    fields = {name.removeprefix("LEAKTRACE_").lower(): value for name, value in named.items()}
    try:
        return Settings.model_validate(fields)
    except ValidationError as error:
        missing = ", ".join(f"LEAKTRACE_{str(fault['loc'][0]).upper()}" for fault in error.errors())
        raise NoDatabase(
            f"{missing} must be set, or a local stack must run (`make up`); no {ENVIRONMENT} is here or above"
        ) from error


def _of_the_stack(start: Path) -> dict[str, str]:
    for folder in (start, *start.parents):
        path = folder / ENVIRONMENT
        if path.is_file():
            try:
                return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
            except (OSError, ValueError, AttributeError) as error:
                raise NoDatabase(f"{path} cannot be read ({error}); start the stack again") from error
    return {}
