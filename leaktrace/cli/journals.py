"""Where `leaktrace submit` keeps in mind which batch some folders go to, until their upload has ended.

One small file a submission in the user's state directory, named after the service and the folders.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

NAME_CHARACTERS = 32


def journal_path(url: str, sources: Sequence[Path]) -> Path:
    """The journal of these folders' submission to this service; it need not be there."""
    told = "\0".join([url, *(str(source.resolve()) for source in sources)])
    name = hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:NAME_CHARACTERS]
    return _state_directory() / "leaktrace" / "submissions" / f"{name}.json"


def _state_directory() -> Path:
    """As the XDG base directory specification has it."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
