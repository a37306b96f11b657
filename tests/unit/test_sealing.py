"""Secrets come back as they were, by any of the keys, and by no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaktrace.errors import InvalidInput
from leaktrace.sealing import SecretSeal, SecretUnreadable

OLD, NEW = "old" * 12, "new" * 12
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))


@given(TEXTS)
def test_sealed_secret_comes_back(secret: str) -> None:
    stored = SecretSeal([NEW]).seal(secret)
    assert stored.startswith("sealed:")
    assert SecretSeal([NEW]).open(stored) == secret


def test_document_hides_its_secret() -> None:
    stored = SecretSeal([NEW]).seal_document({"secret": "whsec_x"})
    assert "whsec_x" not in str(stored)
    assert SecretSeal([NEW]).open_document(stored) == {"secret": "whsec_x"}


def test_older_key_opens_still() -> None:
    assert SecretSeal([NEW, OLD]).open(SecretSeal([OLD]).seal("whsec_x")) == "whsec_x"


def test_renewed_secret_needs_new_key_alone() -> None:
    renewed = SecretSeal([NEW, OLD]).renew(SecretSeal([OLD]).seal("whsec_x"))
    assert SecretSeal([NEW]).open(renewed) == "whsec_x"


@pytest.mark.parametrize("keys", [[], [NEW]])
def test_missing_key_is_named(keys: list[str]) -> None:
    with pytest.raises(SecretUnreadable, match="LEAKTRACE_SECRET_KEYS"):
        SecretSeal(keys).open(SecretSeal([OLD]).seal("whsec_x"))


def test_short_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"key 2 .* has 5 characters"):
        SecretSeal([NEW, "short"])


def test_unsealed_secret_is_read_as_it_is() -> None:
    assert SecretSeal([NEW]).open("whsec_x") == "whsec_x"
    assert SecretSeal().open_document({"id": "x"}) == {"id": "x"}


def test_nothing_is_sealed_without_keys() -> None:
    assert SecretSeal().seal("whsec_x") == "whsec_x"
    assert SecretSeal().seal_document({"id": "x"}) == {"id": "x"}
