"""Seals secrets that have to be read again, such as those that sign webhooks, before they are stored.

Fernet (authenticated encryption) under keys made of the operator's own; the newest seals, all open. Without keys
nothing is sealed, and what was stored before there were any is read as it is. Knows nothing of where it is stored.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from leaktrace.errors import InvalidInput, Unavailable
from leaktrace.settings import Settings

SEALED = "sealed:"
DOCUMENT = "sealed"
SHORTEST_KEY = 32


class SecretUnreadable(Unavailable):
    """A stored secret was sealed by a key that this process has not got."""

    code = "secret_unreadable"

    def __init__(self) -> None:
        super().__init__(
            "a stored secret was sealed by a key that LEAKTRACE_SECRET_KEYS does not hold; put it back there"
        )


class SecretSeal:
    """Seals by the first key and opens by any; safe to share between threads."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """Raises InvalidInput for a key that could be guessed."""
        for number, key in enumerate(keys, 1):
            if len(key) < SHORTEST_KEY:
                raise InvalidInput(
                    f"key {number} of LEAKTRACE_SECRET_KEYS has {len(key)} characters, fewer than {SHORTEST_KEY}; "
                    "`openssl rand -hex 24` makes one"
                )
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys]) if keys else None

    def seal(self, secret: str) -> str:
        """The secret as it is to be stored."""
        if self._fernet is None:
            return secret
        return SEALED + self._fernet.encrypt(secret.encode()).decode()

    def open(self, stored: str) -> str:
        """The secret that was stored.

        Raises:
            SecretUnreadable: none of the keys sealed it.
        """
        if not stored.startswith(SEALED):
            return stored
        if self._fernet is None:
            raise SecretUnreadable
        try:
            return self._fernet.decrypt(stored.removeprefix(SEALED)).decode()
        except InvalidToken as error:
            raise SecretUnreadable from error

    def renew(self, stored: str) -> str:
        """The same secret sealed by the first key, whichever sealed it before. Raises SecretUnreadable."""
        return self.seal(self.open(stored))

    def seal_document(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document as it is to be stored, sealed whole."""
        return document if self._fernet is None else {DOCUMENT: self.seal(json.dumps(document))}

    def open_document(self, stored: dict[str, Any]) -> dict[str, Any]:
        """The document that was stored. Raises SecretUnreadable."""
        if stored.keys() != {DOCUMENT}:
            return stored
        opened: dict[str, Any] = json.loads(self.open(stored[DOCUMENT]))
        return opened


def make_seal(settings: Settings) -> SecretSeal:
    """The seal of the keys that the settings name."""
    return SecretSeal([key.get_secret_value() for key in settings.secret_keys])


def _derived(key: str) -> bytes:
    """A key of the length that Fernet wants, from text of any."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"leaktrace secrets\x00" + key.encode()).digest())
