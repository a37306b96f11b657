"""Passwords: hashed with a salt, verified, refused when short."""

import pytest

from leaktrace.passwords import PasswordRefused, generate_password, hash_password, verify_password


def test_right_password_is_verified() -> None:
    password = generate_password()
    assert verify_password(hash_password(password), password)


def test_wrong_password_is_refused() -> None:
    assert not verify_password(hash_password("a long password"), "another password")


def test_nobody_has_no_password() -> None:
    assert not verify_password(None, "a long password")


def test_damaged_hash_opens_nothing() -> None:
    assert not verify_password("$argon2id$damaged", "a long password")


def test_kept_hash_is_argon2id() -> None:
    assert hash_password("a long password").startswith("$argon2id$")


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_unfit_length_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        hash_password(password)
