"""Identifiers, caller-made keys and free text: what is stored, and what no engine should ever see."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.hashing import canonical_json, fingerprint, key_hash
from prepaid.core.ids import ENTROPY_BYTES, MAX_KEY, check_key, check_text, looks_like_id, make_id
from prepaid.core.instants import to_micros

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
ANY_TEXT = st.text(st.characters(), max_size=300)  # lone surrogates included

NOT_STRINGS: list[Any] = [None, True, 0, 1.5, b"key", ("key",), ["key"], {"key": 1}, NotImplemented]
NEVER_TEXT = {
    "nul": "a\x00b",
    "newline": "a\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape": "a\x1b[31mb",
    "unit separator": "a\x1fb",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "high surrogate": "a\ud800b",
    "low surrogate": "a\udc00b",
    "surrogate pair in halves": "\ud83d\ude00",
    "zero-width space": "a\u200bb",
    "byte order mark": "\ufeffab",
    "right-to-left override": "a\u202eb",
    "isolate": "a\u2066b",
    "soft hyphen": "a\u00adb",
    "private use": "a\ue000b",
    "not a character": "a\uffffb",
}
UNSEEN_BUT_TEXT = {
    "no-break space": "Rue\u00a0de la Paix",
    "narrow no-break space": "12\u202fbis",
    "ideographic space": "山田\u3000太郎",
    "zero-width non-joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "zero-width joiner": "ක්\u200dෂ",
}


class TestMakeId:
    @given(st.sampled_from(["top", "inv", "evt", "txn"]), INSTANTS, ENTROPY)
    def test_an_id_says_what_it_names_and_is_recognised(self, kind: str, at: datetime, entropy: bytes) -> None:
        made = make_id(kind, at, entropy)

        assert made.startswith(f"{kind}_")
        assert looks_like_id(made)
        assert check_key(made) == made
        assert len(made) <= 40  # the reference field of gateways

    @given(INSTANTS, ENTROPY)
    def test_the_text_holds_every_bit_of_the_instant_and_the_entropy(self, at: datetime, entropy: bytes) -> None:
        number = 0
        for character in make_id("top", at, entropy).removeprefix("top_"):
            number = number * 32 + CROCKFORD.index(character)

        assert divmod(number, 2**80) == (to_micros(at) // 1000, int.from_bytes(entropy, "big"))

    @given(INSTANTS, ENTROPY, ENTROPY)
    def test_a_later_millisecond_sorts_after_whatever_the_entropy(self, at: datetime, a: bytes, b: bytes) -> None:
        later = at + timedelta(milliseconds=1)

        assert make_id("top", at, a) < make_id("top", later, b)

    @given(INSTANTS, ENTROPY, ENTROPY)
    def test_within_a_millisecond_only_equal_entropy_gives_equal_ids(self, at: datetime, a: bytes, b: bytes) -> None:
        assert (make_id("top", at, a) == make_id("top", at, b)) == (a == b)


class TestLooksLikeId:
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "top_",
            "top_01m82v7m00000000000000000",
            "top_01m82v7m0000000000000000000",
            "TOP_01m82v7m000000000000000000",
            "top_01M82V7M000000000000000000",
            "top-01m82v7m000000000000000000",
            "top_01m82v7m000000000000000000\n",
            "t_01m82v7m000000000000000000",
            "topup_01m82v7m000000000000000000",
            "top_\uff101m82v7m000000000000000000",
            *NOT_STRINGS,
        ],
        ids=ascii,
    )
    def test_other_forms_are_not_ids(self, value: Any) -> None:
        assert not looks_like_id(value)


class TestCheckKey:
    @pytest.mark.parametrize(
        "key", ["a", "user-42", "vm-1/2026-11-22T05", "a b", "é", "顧客", "🙂", "'; DROP TABLE", "a" * MAX_KEY]
    )
    def test_printable_keys_are_kept_as_they_are(self, key: str) -> None:
        assert check_key(key) == key

    @pytest.mark.parametrize(
        "key",
        ["", " ", " a", "a ", "\u3000a", "a\u00a0", "a\u00a0b", "a\u200db", "a" * (MAX_KEY + 1), *NEVER_TEXT.values()],
        ids=ascii,
    )
    def test_keys_that_engines_could_change_or_people_confuse_are_refused(self, key: str) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            check_key(key, field="customer")

        assert refusal.value.field == "customer"

    @pytest.mark.parametrize("key", NOT_STRINGS, ids=ascii)
    def test_keys_are_strings(self, key: Any) -> None:
        with pytest.raises(InvalidRequest, match="is a string"):
            check_key(key)

    @given(ANY_TEXT)
    @example("\ud800")
    @example("\udfff" * 191)
    def test_what_passes_can_be_hashed_and_encoded_for_every_engine(self, text: str) -> None:
        try:
            key = check_key(text)
        except InvalidRequest:
            return

        assert key == text == text.strip()
        assert len(key_hash(1, "charge", key, key)) == 32
        assert len(fingerprint(key)) == 32
        assert "\x00" not in key
        assert json.loads(canonical_json([key]).encode()) == [key]

    @pytest.mark.parametrize("key", ["\x00secret", "\ud800secret"])
    def test_a_refusal_does_not_repeat_the_key(self, key: str) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            check_key(key)

        assert "secret" not in refusal.value.message


class TestCheckText:
    @pytest.mark.parametrize("text", NEVER_TEXT.values(), ids=NEVER_TEXT)
    def test_control_and_invisible_characters_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="control or invisible") as refusal:
            check_text(text, field="name", longest=100)

        assert refusal.value.field == "name"

    @pytest.mark.parametrize("text", UNSEEN_BUT_TEXT.values(), ids=UNSEEN_BUT_TEXT)
    def test_blanks_and_joiners_that_people_write_are_text(self, text: str) -> None:
        assert check_text(text, field="name", longest=100, empty=False) == text

    @pytest.mark.parametrize("text", ["", " ", "\u00a0", "\u3000\u3000", "\u200d", " \u200c "], ids=ascii)
    def test_text_that_shows_nothing_counts_as_empty(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="must not be empty"):
            check_text(text, field="name", longest=100, empty=False)

        assert check_text(text, field="name", longest=100) == text

    def test_the_length_is_bounded_in_characters(self) -> None:
        assert check_text("é" * 100, field="name", longest=100) == "é" * 100
        with pytest.raises(InvalidRequest, match="at most 100"):
            check_text("é" * 101, field="name", longest=100)

    @pytest.mark.parametrize("text", NOT_STRINGS, ids=ascii)
    def test_text_is_a_string(self, text: Any) -> None:
        with pytest.raises(InvalidRequest, match="is a string"):
            check_text(text, field="name", longest=100)

    @given(ANY_TEXT)
    @example("\ud800")
    def test_what_passes_is_one_line_that_every_engine_can_encode(self, text: str) -> None:
        try:
            kept = check_text(text, field="name", longest=250)
        except InvalidRequest:
            return

        assert kept == text
        assert len(text.splitlines()) <= 1
        assert "\x00" not in text
        assert text.encode().decode() == text

    def test_a_string_subclass_is_judged_by_its_characters(self) -> None:
        class Sly(str):
            def __str__(self) -> str:
                return "harmless"

        with pytest.raises(InvalidRequest):
            check_text(Sly("a\x00"), field="name", longest=100)
        with pytest.raises(InvalidRequest):
            check_key(Sly("a\ud800"))
