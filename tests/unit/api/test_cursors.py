"""A cursor opens for the listing it was made for, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import CursorSeal
from api.errors import InvalidCursor

SEAL = CursorSeal("secret")
POSITIONS = st.text(st.characters(exclude_categories=("Cs",)), max_size=256)
LISTINGS = st.lists(
    st.none() | st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=6
).map(tuple)


@given(POSITIONS, LISTINGS)
def test_cursor_gives_its_position(position: str, listing: tuple[object, ...]) -> None:
    assert SEAL.open(SEAL.seal(position, listing=listing), listing=listing) == position


@given(POSITIONS, LISTINGS, LISTINGS)
def test_cursor_is_bound_to_filters(
    position: str, listing: tuple[object, ...], other: tuple[object, ...]
) -> None:
    cursor = SEAL.seal(position, listing=listing)
    if listing != other:
        with pytest.raises(InvalidCursor):
            SEAL.open(cursor, listing=other)


@given(POSITIONS, st.data())
def test_changed_cursor_is_refused(position: str, data: st.DataObject) -> None:
    cursor = SEAL.seal(position, listing=("a",))
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("AbZ09-_=!é").filter(lambda character: character != cursor[at]))
    changed = cursor[:at] + other + cursor[at + 1 :]
    with pytest.raises(InvalidCursor):
        SEAL.open(changed, listing=("a",))


@given(st.text(max_size=100))
def test_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        SEAL.open(cursor, listing=("a",))


def test_other_secret_opens_nothing() -> None:
    with pytest.raises(InvalidCursor):
        CursorSeal("other").open(SEAL.seal("x", listing=("a",)), listing=("a",))


def test_no_cursor_is_the_start() -> None:
    assert SEAL.open(None, listing=("a",)) is None


def test_null_filter_is_not_its_name() -> None:
    with pytest.raises(InvalidCursor):
        SEAL.open(SEAL.seal("x", listing=(None,)), listing=("None",))


@pytest.mark.parametrize(("found", "further"), [("ab", None), ("abc", SEAL.seal("B", listing=("a",)))])
def test_cursor_stands_behind_full_page(found: str, further: str | None) -> None:
    assert SEAL.cut(list(found), 2, listing=("a",), position=str.upper) == (["a", "b"], further)
