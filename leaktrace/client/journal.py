"""Remembers which batch some folders go to while their upload lasts, so that it goes on after any end of the process.

What has arrived is not noted here: the service knows it better (see `arrivals`). The file is replaced as a whole.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leaktrace.errors import InvalidInput


class JournalUnusable(InvalidInput):
    """The journal cannot be read or written, or it belongs to another upload."""

    code = "journal_unusable"


@dataclass(frozen=True)
class Journal:
    """The file at `path`, for one upload of `sources` to the service at `url`."""

    path: Path
    url: str
    sources: Sequence[Path]

    def read(self) -> str | None:
        """The id of the batch that was begun, or None.

        Raises:
            JournalUnusable: the file is another upload's, or none that was written here.
        """
        try:
            document = json.loads(self.path.read_text())
            known, batch_id = (document["url"], document["sources"]), str(document["batch_id"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JournalUnusable(f"{self.path} cannot be read ({error}); delete it to begin anew") from error
        if known != (self.url, self._places()):
            raise JournalUnusable(
                f"{self.path} remembers the upload of {', '.join(known[1])} to {known[0]}; name another journal"
            )
        return batch_id

    def write(self, batch_id: str) -> None:
        """Remember the batch; it is on the disk when this returns."""
        document = {"url": self.url, "sources": self._places(), "batch_id": batch_id}
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise JournalUnusable(f"{self.path} cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """The upload has ended."""
        self.path.unlink(missing_ok=True)

    def _places(self) -> list[str]:
        return [str(source.resolve()) for source in self.sources]
