"""Passwords of operators: made, hashed with Argon2id, verified in the same time whether the operator exists or not.

The parameters are those of `argon2-cffi` (RFC 9106's second choice: 64 MiB). Few hashes are worked out at a time, so
that a flood of guesses cannot take the machine's memory. Knows nothing of operators or databases.
"""

import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from leaktrace.errors import InvalidInput

SHORTEST = 12
LONGEST = 256  # a longer one costs time and adds nothing
HASHED_AT_ONCE = 2

_hasher = PasswordHasher()
_places = BoundedSemaphore(HASHED_AT_ONCE)
# What an unknown operator's password is compared with: the hash of a secret that nobody has.
_nobody = _hasher.hash(secrets.token_urlsafe(32))


class PasswordRefused(InvalidInput):
    """The password is too short or too long; carries the lengths allowed."""

    code = "password_refused"

    def __init__(self) -> None:
        super().__init__(f"a password needs {SHORTEST} to {LONGEST} characters")
        self.shortest, self.longest = SHORTEST, LONGEST


def generate_password() -> str:
    """A new password of 144 random bits."""
    return secrets.token_urlsafe(18)


def hash_password(password: str) -> str:
    """The hash to keep, with its salt and parameters in it.

    Raises:
        PasswordRefused: it has too few or too many characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused
    with _places:
        return _hasher.hash(password)


def verify_password(kept: str | None, password: str) -> bool:
    """Whether the password is the one of this hash; for None (no such operator) it takes as long and says no."""
    with _places:
        try:
            matches = _hasher.verify(kept or _nobody, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
    return matches and kept is not None
