"""Forms as the API's own request bodies, so that a page refuses what the API refuses, in words."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leaktrace.errors import InvalidInput

Body = TypeVar("Body", bound=BaseModel)


def read_form(body: type[Body], **fields: Any) -> Body:
    """The fields as a body of the API; those that are None are left out.

    Raises:
        InvalidInput: the API would not take them.
    """
    try:
        return body.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()[:3])
        raise InvalidInput(told) from error


def whole_number(text: str) -> int | None:
    """A number that was typed; None where nothing was.

    Raises:
        InvalidInput: it is none.
    """
    digits = text.strip().replace(" ", "").replace("\N{NARROW NO-BREAK SPACE}", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise InvalidInput(f"{text[:40]!r} is not a whole number")
    return int(digits)
