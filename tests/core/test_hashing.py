"""Hashes and canonical JSON: the same content gives the same bytes, other content never does."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.hashing import canonical_json, fingerprint, key_hash, sha256
from prepaid.core.ids import check_key
from prepaid.core.money import Money

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
SCOPES = st.tuples(st.integers(1, 10**6), st.sampled_from(["charge", "refund", "hold"]), KEYS, KEYS)


class TestCanonicalJson:
    @given(PLAIN)
    def test_plain_values_are_read_back_as_they_were(self, value: Any) -> None:
        assert json.loads(canonical_json([value])) == [value]

    @given(st.dictionaries(TEXT, PLAIN, max_size=6), st.randoms(use_true_random=False))
    def test_the_order_of_names_does_not_matter(self, value: dict[str, Any], random: Any) -> None:
        names = list(value)
        random.shuffle(names)

        assert canonical_json({name: value[name] for name in names}) == canonical_json(value)

    @given(PLAIN)
    def test_writing_what_was_read_changes_no_byte(self, value: Any) -> None:
        written = canonical_json({"value": value})

        assert canonical_json(json.loads(written)) == written

    def test_there_are_no_blanks_and_no_needless_escapes(self) -> None:
        assert canonical_json({"b": [1, 2], "a": "é€"}) == '{"a":"é€","b":[1,2]}'

    def test_money_decimals_and_dates_are_written_as_text(self) -> None:
        value = {
            "at": datetime(2026, 11, 23, tzinfo=UTC),
            "day": date(2026, 11, 23),
            "price": Money.of("0.1", "EUR"),
            "rate": Decimal("19.0"),
        }

        assert canonical_json(value) == (
            '{"at":"2026-11-23 00:00:00+00:00","day":"2026-11-23","price":"0.10 EUR","rate":"19.0"}'
        )

    def test_every_mapping_is_an_object_sorted_by_name(self) -> None:
        view = MappingProxyType({"b": 1, "a": MappingProxyType({"d": 1, "c": 2})})

        assert canonical_json(view) == '{"a":{"c":2,"d":1},"b":1}'

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_what_json_cannot_say_is_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json([value])

    @pytest.mark.parametrize(
        "value", [{"a", "b"}, frozenset({"a"}), b"bytes", object()], ids=lambda v: type(v).__name__
    )
    def test_what_is_written_differently_in_each_process_is_refused(self, value: Any) -> None:
        with pytest.raises(TypeError, match="no canonical form"):
            canonical_json([value])


class TestFingerprint:
    @given(st.lists(PLAIN, max_size=4))
    def test_the_same_parts_give_the_same_fingerprint(self, parts: list[Any]) -> None:
        assert fingerprint(*parts) == fingerprint(*json.loads(json.dumps(parts)))

    @given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
    def test_other_parts_give_another_one(self, a: list[str], b: list[str]) -> None:
        assume(a != b)

        assert fingerprint(*a) != fingerprint(*b)

    @pytest.mark.parametrize(
        ("a", "b"), [(("ab", "c"), ("a", "bc")), (("1",), (1,)), ((), ("",)), ((None,), ("null",)), ((["a"],), ("a",))]
    )
    def test_cuts_and_types_count(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
        assert fingerprint(*a) != fingerprint(*b)

    def test_another_process_computes_the_same(self) -> None:
        code = "from prepaid.core.hashing import fingerprint as f; print(f('topup', {'b': 1, 'a': [None, 'é']}))"

        printed = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout.strip()

        assert printed == fingerprint("topup", {"b": 1, "a": [None, "é"]})
        assert len(printed) == 32


class TestKeyHash:
    @given(SCOPES, SCOPES)
    def test_only_the_same_scope_and_key_collide(self, a: Any, b: Any) -> None:
        assert (key_hash(*a) == key_hash(*b)) == (a == b)

    def test_no_key_reaches_into_another_scope(self) -> None:
        with pytest.raises(InvalidRequest, match="printable"):
            check_key("a\x1fb")  # the separator, so that "a" + "b|c" and "a|b" + "c" stay apart

        assert key_hash(1, "charge", "ab", "c") != key_hash(1, "charge", "a", "bc")
        assert key_hash(1, "charge", "1", "x") != key_hash(11, "charge", "", "x")

    def test_a_hash_is_short_and_hexadecimal(self) -> None:
        digest = key_hash(1, "charge", "user-42", "顧客")

        assert len(digest) == 32
        assert int(digest, 16) >= 0


class TestSha256:
    @given(TEXT)
    def test_text_is_hashed_as_utf_8(self, text: str) -> None:
        assert sha256(text) == sha256(text.encode()) == hashlib.sha256(text.encode("utf-8")).hexdigest()
