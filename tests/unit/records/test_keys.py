"""What a presented API key must look like before the database is asked."""

import re

from hypothesis import given
from hypothesis import strategies as st

from leaktrace.records.keys import PRESENTED_KEY, Caller


@given(st.text())
def test_arbitrary_text_parses_safely(text: str) -> None:
    match = PRESENTED_KEY.fullmatch(text)
    assert match is None or (len(match[1]) == 16 and len(match[2]) == 43)


@given(st.from_regex(re.compile(r"lk_live_[0-9a-f]{16}_[A-Za-z0-9_-]{43}"), fullmatch=True))
def test_well_formed_keys_split(text: str) -> None:
    match = PRESENTED_KEY.fullmatch(text)
    assert match is not None
    assert f"lk_live_{match[1]}_{match[2]}" == text


def test_trailing_newline_is_refused() -> None:
    assert PRESENTED_KEY.fullmatch("lk_live_" + "a" * 16 + "_" + "b" * 43 + "\n") is None


def test_actor_names_public_id() -> None:
    from uuid import uuid4

    assert Caller(tenant_id=uuid4(), public_id="ab12", scopes=frozenset()).actor == "key:ab12"
