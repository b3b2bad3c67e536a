"""Cursors: what one list gave out leads on in that list, and anything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.pages import Page, make_cursor, read_cursor, read_number_cursor

ID = "top_01m82v7m000000000000000000"
NO_CURSORS = [
    "",
    "t",
    "t.",
    "t. ",
    "t.TOP",
    "t.a\n",
    "t.a.b",
    "t.é",
    "t.\ud800",
    "t.a\x00",
    "t." + "a" * 65,
    "T.a",
    "tt.a",
    "x.1",
    None.__class__,
    5,
    True,
    b"t.1",
    ("t.1",),
]


@given(st.integers(0, 10**18 - 1))
def test_a_counting_cursor_leads_back_to_its_place(place: int) -> None:
    assert read_number_cursor("t", make_cursor("t", place)) == place


def test_a_cursor_of_an_id_leads_back_to_it() -> None:
    assert read_cursor("t", make_cursor("t", ID)) == ID


def test_without_a_cursor_a_list_begins_at_its_start() -> None:
    assert read_cursor("t", None) is None
    assert read_number_cursor("t", None) is None


@pytest.mark.parametrize("cursor", NO_CURSORS, ids=ascii)
@pytest.mark.parametrize("read", [read_cursor, read_number_cursor])
def test_what_this_list_did_not_give_out_is_refused(read: Any, cursor: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read("t", cursor)

    assert refusal.value.field == "cursor"


@pytest.mark.parametrize("cursor", ["t.abc", "t.1a", "t._1", "t." + "9" * 19, "t." + "0" * 64])
def test_a_counting_list_takes_only_numbers_that_engines_can_compare(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        read_number_cursor("t", cursor)


@given(st.text(st.characters(), max_size=80))
@example("t." + "9" * 18)
@example("t.٣")
def test_any_text_is_a_place_in_range_or_refused(text: str) -> None:
    try:
        place = read_number_cursor("t", text)
    except InvalidRequest:
        return

    assert place is not None
    assert 0 <= place < 10**18


def test_the_last_page_leads_nowhere() -> None:
    assert Page((1, 2)).next is None
    assert Page((1, 2), make_cursor("t", 2)).next == "t.2"
