"""Breaking text into lines and rows into pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prepaid.invoicing.layout import ELLIPSIS, LONGEST_LINE, paginate, wrap

HEIGHTS = st.lists(st.integers(min_value=1, max_value=40), max_size=60)


@given(st.text(alphabet="ab c", max_size=120), st.integers(min_value=2, max_value=30), st.integers(1, 5))
def test_no_line_is_wider_than_its_place_and_there_are_never_too_many(text, width, most):
    lines = wrap(text, width, len, most=most)
    assert 1 <= len(lines) <= most
    assert all(len(line) <= width for line in lines)


@given(st.text(alphabet="ab c", max_size=120), st.integers(min_value=2, max_value=30), st.integers(1, 5))
def test_text_is_kept_whole_or_ends_in_an_ellipsis(text, width, most):
    drawn = "".join(wrap(text, width, len, most=most)).replace(" ", "")
    wanted = text.replace(" ", "")
    assert drawn == wanted or (drawn.endswith(ELLIPSIS) and wanted.startswith(drawn[:-1]) and drawn[:-1] != wanted)


def test_long_word_is_broken_behind_the_words_before_it():
    assert wrap("ab cdefghij kl", 5, len, most=9) == ["ab", "cdefg", "hij", "kl"]


def test_text_far_too_long_is_cut_before_it_is_measured():
    asked = []

    def measure(text):
        asked.append(text)
        return len(text)

    [line] = wrap("x" * 1_000_000, 10_000, measure, most=1)
    assert line == "x" * LONGEST_LINE + ELLIPSIS
    assert max(map(len, asked)) <= LONGEST_LINE + 1


@given(HEIGHTS, st.integers(0, 60))
def test_every_row_stands_on_one_page_in_order_and_no_page_overflows(heights, closing):
    pages = paginate(heights, first=100, later=120, closing=closing)
    assert [row for page in pages for row in page] == list(range(len(heights)))
    for number, page in enumerate(pages):
        below = closing if number == len(pages) - 1 and heights else 0
        assert sum(heights[page.start : page.stop]) + below <= (120 if number else 100)


def test_the_last_row_moves_to_the_page_of_the_total():
    assert paginate([30, 30, 30], first=100, later=120, closing=20) == [range(2), range(2, 3)]


def test_invoice_without_rows_has_one_page():
    assert paginate([], first=100, later=120, closing=20) == [range(0)]
