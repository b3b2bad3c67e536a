"""One identity per code, whatever way it is typed; everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid import InvalidRequest
from prepaid.core.codes import MAX_CODE, code_identity, is_no_code

WIDE = str.maketrans({chr(n): chr(n + 0xFEE0) for n in range(0x21, 0x7F)})


@pytest.mark.parametrize(
    "typed",
    ["SAVE10", "save10", " Save10 ", "\tSAVE10\n", "SAVE10".translate(WIDE), "save10\u3000", "\u00a0sAVE10", "ſave10"],
)
def test_the_ways_to_write_a_code_are_one(typed):
    assert code_identity(typed) == "save10"


ODD_TEXT = ["", "   ", "\x00", "SAVE10\x00", "SAVE\x0010", "SA\u200bVE10", "\u200bSAVE10", "SAVE10\ufeff", "SAVE 10"]
ODD_TEXT += [
    "SАVE10",
    "SAVE10\u0307",
    "ıdea",
    "İdea",
    "é",
    "SAVE%",
    "a/b",
    "a'b",
    "\ud800",
    "a\u202eb",
    "夏2026",
    "SAVE–10",
]
TOO_LONG = ["x" * (MAX_CODE + 1), " " * 10_000 + "x", "ﷺ" * 64]
NO_TEXT = [0, 1, 10, False, None, b"SAVE10", ["SAVE10"], 1.5, object()]


@pytest.mark.parametrize("odd", [*ODD_TEXT, *TOO_LONG, *NO_TEXT])
def test_what_remains_odd_is_no_code(odd):
    with pytest.raises(InvalidRequest) as refused:
        code_identity(odd)
    assert refused.value.field == "code"
    assert "SAVE" not in str(refused.value)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.", min_size=1, max_size=MAX_CODE))
def test_an_identity_is_its_own(code):
    identity = code_identity(code)
    assert identity == code_identity(identity) == code_identity(code.upper()) == code_identity(code.translate(WIDE))


@given(st.text())
def test_every_identity_is_plain_and_stable(text):
    try:
        identity = code_identity(text)
    except InvalidRequest:
        return
    assert identity.isascii()
    assert identity == identity.lower() == code_identity(identity)


def test_only_nothing_is_no_code():
    assert [is_no_code(code) for code in (None, "", "  ")] == [True] * 3
    assert [is_no_code(code) for code in (0, False, b"", [], "x")] == [False] * 5
