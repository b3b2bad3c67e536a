"""Codes of vouchers: how they are made, and that one is one however it is typed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import InvalidRequest
from prepaid.core.vouchers import (
    ALPHABET,
    SYMBOLS,
    check_count,
    check_prefix,
    check_validity,
    ending_of,
    make_code,
    voucher_hash,
    voucher_identity,
)

NUMBERS = tuple(range(SYMBOLS))
CODE = "2345-6789-ABCD-EFGH"
IDENTITY = "23456789abcdefgh"


def test_the_alphabet_has_no_look_alikes_and_codes_have_seventy_eight_bits():
    assert len(set(ALPHABET)) == len(ALPHABET) == 30
    assert not set("0O1ILU") & set(ALPHABET)
    assert len(ALPHABET) ** SYMBOLS > 2**78


def test_a_code_is_sixteen_symbols_in_groups_of_four_after_its_prefix():
    assert make_code(NUMBERS) == CODE
    assert make_code(NUMBERS, prefix="GIFT") == f"GIFT-{CODE}"
    assert ending_of(make_code(NUMBERS, prefix="GIFT")) == "GH"


def test_every_number_below_thirty_is_a_symbol_of_its_own():
    symbols = {make_code([number] * SYMBOLS)[0] for number in range(30)}

    assert symbols == set(ALPHABET)


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        CODE.lower(),
        f"  {CODE}\t\n",
        CODE.replace("-", ""),
        "23-456789-ABCDEFG-H",
        f"--{CODE}--",
        "".join(chr(ord(symbol) + 0xFEE0) for symbol in CODE),  # full-width
        "2345-6789-aBcD-EfGh",
    ],
)
def test_one_code_is_one_however_it_is_typed(typed):
    assert voucher_identity(typed) == IDENTITY


@pytest.mark.parametrize(
    "typed",
    [
        "2345-6789\u200b-ABCD-EFGH",
        f"{CODE}\x00",
        "2345 6789 ABCD EFGH",
        "2345–6789–ABCD–EFGH",
        "2345-6789-АBCD-EFGH",  # a Cyrillic A
        "",
        " ",
        "x" * 65,
        "9" * 5000,
        "\ud800",
        0,
        False,
        None,
        5.0,
        b"",
        CODE.encode(),
        [],
        {},
    ],
)
def test_what_can_be_no_code_is_refused(typed):
    with pytest.raises(InvalidRequest) as refused:
        voucher_identity(typed)

    assert refused.value.field == "code"


def test_the_hash_tells_nothing_of_the_code_and_differs_from_book_to_book():
    hashed = voucher_hash(1, IDENTITY)

    assert len(hashed) == 64
    assert IDENTITY not in hashed
    assert hashed != voucher_hash(2, IDENTITY)
    assert voucher_hash(11, "1a") != voucher_hash(1, "11a")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("", ""),
        (None, ""),
        ("  ", ""),
        ("gift", "GIFT"),
        ("-Gift-", "GIFT"),
        ("ＧＩＦＴ", "GIFT"),
        ("x-mas.26_b", "X-MAS.26_B"),
        ("a" * 16, "A" * 16),
    ],
)
def test_a_prefix_is_shown_in_one_way(given, shown):
    assert check_prefix(given) == shown


@pytest.mark.parametrize(
    "prefix", ["a" * 17, "-", "---", "a b", "€", "a\x00", "ß" * 9, 0, False, 5, b"x", [], object()]
)
def test_what_can_be_no_prefix_is_refused(prefix):
    with pytest.raises(InvalidRequest) as refused:
        check_prefix(prefix)

    assert refused.value.field == "prefix"


def test_counts_go_from_one_to_ten_thousand():
    assert [check_count(count) for count in (1, 10_000)] == [1, 10_000]


@pytest.mark.parametrize("count", [0, -1, 10_001, 1.0, "1", True, None, [], 10**30])
def test_any_other_count_is_refused(count):
    with pytest.raises(InvalidRequest) as refused:
        check_count(count)

    assert refused.value.field == "count"


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (None, None),
        (timedelta(minutes=1), 60),
        (timedelta(days=30, seconds=1), 2_592_001),
        (timedelta(days=36_525), 3_155_760_000),
    ],
)
def test_credit_lasts_whole_seconds(duration, seconds):
    assert check_validity(duration) == seconds


@pytest.mark.parametrize(
    "duration",
    [
        timedelta(0),
        timedelta(seconds=59, microseconds=999_999),
        timedelta(seconds=60, microseconds=1),
        -timedelta(days=1),
        timedelta(days=36_525, seconds=1),
        timedelta.max,
        60,
        60.0,
        "1 day",
        True,
        [],
    ],
)
def test_any_other_duration_is_refused(duration):
    with pytest.raises(InvalidRequest) as refused:
        check_validity(duration)

    assert refused.value.field == "credit_valid_for"
