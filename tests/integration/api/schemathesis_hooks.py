"""What the description of an API cannot say to a tool that reads it; loaded by schemathesis itself."""

import re
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """A new request needs a new Idempotency-Key: with an old one, 422 would be the right answer to good data.

    A case that leaves out the API key must stay as it is: schemathesis adds the key again to one that was edited.
    """
    leaves_out = getattr(case.meta.phase.data, "parameter", None) if case.meta else None
    key = (case.headers or {}).get("Idempotency-Key")
    if leaves_out != "Authorization" and isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        case.headers["Idempotency-Key"] = f"{key[:223]}{uuid4().hex}"
