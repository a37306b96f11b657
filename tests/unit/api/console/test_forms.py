"""Fields of forms become the API's bodies, or are refused in words."""

import pytest

from api.administration_schemas import KeyCreate
from api.console.forms import read_form, whole_number
from api.console.keys import SCOPE_WORDS
from api.console.webhooks import EVENT_WORDS
from leaktrace.errors import InvalidInput
from leaktrace.records.events import EVENT_TYPES
from leaktrace.records.keys import GRANTABLE_SCOPES


def test_unknown_scope_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match=r"scopes\.0"):
        read_form(KeyCreate, name="x", scopes=["everything"])


def test_empty_field_is_left_out() -> None:
    assert read_form(KeyCreate, name="x", scopes=["batches:read"], expires_days=None).expires_days is None


@pytest.mark.parametrize(("text", "number"), [("", None), (" 1 500 ", 1500), ("0", 0)])
def test_typed_number_is_read(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "9" * 16])
def test_other_text_is_no_number(text: str) -> None:
    with pytest.raises(InvalidInput):
        whole_number(text)


def test_every_choice_has_words() -> None:
    assert (set(SCOPE_WORDS), set(EVENT_WORDS)) == (set(GRANTABLE_SCOPES), set(EVENT_TYPES))
