"""Opaque page cursors. A cursor is a position sealed together with the listing that it belongs to.

The seal is a MAC over tenant, listing, filters and position, so a cursor that was changed, made up, or taken to other
filters fails alike. The key is derived from a secret that all API processes share.
"""

import base64
import hashlib
import hmac
import json
from binascii import Error as BadBase64
from collections.abc import Callable
from typing import TypeVar

from api.errors import InvalidCursor

SEAL_BYTES = 16

Row = TypeVar("Row")


class CursorSeal:
    """Makes and opens cursors."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"leaktrace cursor seal\x00" + secret.encode()).digest()

    def seal(self, position: str, *, listing: tuple[object, ...]) -> str:
        """The cursor of a position in a listing; `listing` names it and holds the tenant and all filters."""
        body = position.encode()
        return base64.urlsafe_b64encode(self._mac(body, listing) + body).decode().rstrip("=")

    def open(self, cursor: str | None, *, listing: tuple[object, ...]) -> str | None:
        """The position in a cursor; None for no cursor.

        Raises:
            InvalidCursor: it was not made by `seal` with the same key and listing.
        """
        if cursor is None:
            return None
        sealed = _decoded(cursor)
        mac, body = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body, listing)):
            raise _invalid()
        return body.decode()

    def cut(
        self, found: list[Row], limit: int, *, listing: tuple[object, ...], position: Callable[[Row], object]
    ) -> tuple[list[Row], str | None]:
        """The page of the first `limit` rows, and the cursor behind its last one if more were found."""
        page = found[:limit]
        if len(found) <= limit:
            return page, None
        return page, self.seal(str(position(page[-1])), listing=listing)

    def _mac(self, body: bytes, listing: tuple[object, ...]) -> bytes:
        context = json.dumps([None if part is None else str(part) for part in listing]).encode()
        return hmac.digest(self._key, context + b"\x00" + body, "sha256")[:SEAL_BYTES]


def _decoded(cursor: str) -> bytes:
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (BadBase64, ValueError) as error:
        raise _invalid() from error
    if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != cursor:
        raise _invalid()
    return sealed


def _invalid() -> InvalidCursor:
    return InvalidCursor("the cursor does not belong to this listing; begin again without a cursor")
