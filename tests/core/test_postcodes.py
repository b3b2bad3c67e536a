"""Postal codes: one form, patterns that match from end to end and can be compared."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.postcodes import PostcodePattern, normalise_postcode


@pytest.mark.parametrize(
    ("written", "country", "normal"),
    [
        ("10115", "DE", "10115"),
        ("D-10115", "DE", "10115"),
        ("SE-123 45", "SE", "12345"),
        ("lv-1010", "LV", "1010"),
        ("1234 ab", "NL", "1234AB"),
        ("sw1a 1aa", "GB", "SW1A1AA"),
        ("H2X 1Y4", "CA", "H2X1Y4"),
        ("94105-1234", "US", "94105"),
        ("\uff11\uff10115", "DE", "10115"),
        ("AD500", "AD", "AD500"),
        ("", "DE", ""),
        ("- ", "DE", ""),
    ],
)
def test_a_code_is_brought_into_one_form(written, country, normal) -> None:
    assert normalise_postcode(written, country) == normal


@given(st.text(max_size=16), st.sampled_from(["DE", "GB", "US", "CA"]))
def test_the_normal_form_of_anything_is_stable(written, country) -> None:
    normal = normalise_postcode(written, country)

    assert re.fullmatch("[A-Z0-9]*", normal)
    assert normalise_postcode(normal, country) == normal


@pytest.mark.parametrize(
    "written",
    [
        *("", "|", "35###|", "35*", "35.*", "(a+)+", "[", "[]", "[9-0]", "[0-", "a", "35 001"),
        *("#" * 13, "1|" * 101, "\uff13", "3\n"),
    ],
)
def test_what_is_no_pattern_is_refused(written) -> None:
    with pytest.raises(InvalidRequest) as refused:
        PostcodePattern.of(written)

    assert refused.value.field == "postcode"


@pytest.mark.parametrize("written", [None, 5, b"35###", ["35###"]])
def test_a_pattern_is_text(written) -> None:
    with pytest.raises(InvalidRequest) as refused:
        PostcodePattern.of(written)

    assert refused.value.field == "postcode"


PLACES = st.sampled_from(["0", "7", "A", "Z", "#", "@", "?", "[0-4]", "[37]", "[A-C]", "[0-2X]"])
PATTERNS = st.lists(st.lists(PLACES, min_size=1, max_size=3).map("".join), min_size=1, max_size=2).map("|".join)
CODES = st.text("0347AXZ", min_size=1, max_size=3)


def as_regex(pattern: str) -> str:
    return pattern.replace("#", "[0-9]").replace("@", "[A-Z]").replace("?", "[0-9A-Z]")


@given(PATTERNS, CODES)
def test_a_pattern_matches_what_the_same_regular_expression_matches_from_end_to_end(pattern, code) -> None:
    assert PostcodePattern.of(pattern).matches(code) == bool(re.fullmatch(as_regex(pattern), code))


@given(PATTERNS, PATTERNS, st.lists(CODES, max_size=20))
def test_two_patterns_that_do_not_meet_match_no_code_both(one, other, codes) -> None:
    first, second = PostcodePattern.of(one), PostcodePattern.of(other)

    assert first.meets(second) == second.meets(first)
    assert first.meets(first)
    if not first.meets(second):
        assert not any(first.matches(code) and second.matches(code) for code in codes)


def test_patterns_that_meet_share_a_code() -> None:
    assert PostcodePattern.of("9[0-4]#####").meets(PostcodePattern.of("94#####"))
    assert not PostcodePattern.of("9[0-4]#####").meets(PostcodePattern.of("95#####"))
    assert not PostcodePattern.of("9###").meets(PostcodePattern.of("9####"))
