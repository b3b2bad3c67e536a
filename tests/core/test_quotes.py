"""Quotes and their tokens: what a form carries comes back exactly, or is refused in one way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.hashing import canonical_json, fingerprint
from prepaid.core.money import MAX_UNITS, Money
from prepaid.core.quotes import Quote, QuoteClaim, claim_of, read_token
from prepaid.core.taxation import TaxDecision, TaxLine

LATER = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)
MINOR = st.integers(0, 10**12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _money(minor: int) -> Money:
    return Money.from_minor(minor, "EUR")


def _quote(
    gateway: str = "stripe",
    code: str | None = "WELCOME10",
    credit: int = 5000,
    bonus: int = 500,
    discount: int = 250,
    tax: int = 903,
    expires_at: datetime = LATER,
) -> Quote:
    net, due = _money(credit - min(discount, credit)), _money(tax)
    line = TaxLine(name="VAT", rate_percent=Decimal(19), base=net, amount=due)
    return Quote(
        amount=_money(credit),
        gateway=gateway,
        code=code,
        credit=_money(credit),
        bonus=_money(bonus),
        discount=_money(discount),
        net=net,
        tax=TaxDecision(
            treatment="standard", lines=(line,), net=net, total=due, gross=net + due, category="S", jurisdiction="DE"
        ),
        total=net + due,
        balance_after=_money(credit),
        expires_at=expires_at,
    )


QUOTES = st.builds(
    _quote,
    WORDS,
    st.none() | WORDS,
    MINOR,
    MINOR,
    MINOR,
    MINOR,
    st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
TOKEN = _quote().token


def _record(**changes: Any) -> str:
    return json.dumps({**json.loads(TOKEN), **changes})


class TestRoundTrip:
    @given(QUOTES)
    def test_a_token_claims_what_its_quote_claims(self, quote: Quote) -> None:
        assert read_token(quote.token) == claim_of(quote) == claim_of(quote.token)

    @given(QUOTES)
    def test_a_token_is_canonical_json_of_bounded_length(self, quote: Quote) -> None:
        assert canonical_json(json.loads(quote.token)) == quote.token
        assert len(quote.token) <= 2000

    def test_a_claim_says_what_the_customer_saw(self) -> None:
        claim = claim_of(_quote())

        assert claim == QuoteClaim(
            amount=_money(5000),
            gateway="stripe",
            code="WELCOME10",
            shown={
                "credit": 50_000_000,
                "bonus": 5_000_000,
                "discount": 2_500_000,
                "tax": 9_030_000,
                "total": 56_530_000,
            },
            expires_at=LATER,
        )

    @pytest.mark.parametrize("name", ["credit", "bonus", "discount", "total"])
    def test_each_figure_shown_is_in_the_token(self, name: str) -> None:
        quote = _quote()

        other = attrs.evolve(quote, **{name: getattr(quote, name) + _money(1)})

        assert read_token(other.token) != read_token(quote.token)

    def test_the_tax_shown_is_in_the_token(self) -> None:
        assert read_token(_quote(tax=904).token) != read_token(_quote(tax=903).token)

    def test_a_quote_for_another_instant_is_another_claim(self) -> None:
        assert claim_of(_quote(expires_at=LATER + timedelta(microseconds=1))) != claim_of(_quote())


class TestDamage:
    @given(st.text(st.characters(), max_size=2500))
    @example("")
    @example("null")
    @example("[]")
    @example('"token"')
    @example("1e999")
    @example("[" * 1999)
    @example('{"a":' * 399)
    @example("NaN")
    @example("\ud800")
    @example("9" * 2000)
    def test_text_that_is_no_token_is_only_ever_an_invalid_request(self, text: str) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            read_token(text)

        assert refusal.value.field == "quote"

    @given(st.data())
    def test_a_token_with_characters_changed_is_read_or_refused(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(TOKEN)))
        cut = data.draw(st.integers(0, 4))
        put = data.draw(st.text(st.characters(), max_size=4))

        _read_or_refused(TOKEN[:place] + put + TOKEN[place + cut :])

    @given(st.sampled_from(sorted(json.loads(TOKEN))), JSON)
    def test_a_token_with_another_value_is_read_or_refused(self, name: str, value: Any) -> None:
        _read_or_refused(_record(**{name: value}))

    @pytest.mark.parametrize("name", sorted(json.loads(TOKEN)))
    def test_every_field_is_needed(self, name: str) -> None:
        record = json.loads(TOKEN)
        del record[name]

        with pytest.raises(InvalidRequest):
            read_token(json.dumps(record))

    @pytest.mark.parametrize("name", ["amount", "credit", "bonus", "discount", "tax", "total"])
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            1,
            1.9,
            "",
            " 1",
            "1 ",
            "+1",
            "1_0",
            "1.0",
            "1e5",
            "\uff11",
            "0x1",
            "NaN",
            "9" * 20,
            "\ud800",
            [],
            {},
        ],
        ids=ascii,
    )
    def test_figures_are_text_of_ascii_digits(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest):
            read_token(_record(**{name: value}))

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": str(MAX_UNITS + 1)},
            {"amount": str(-MAX_UNITS - 1)},
            {"amount": str(10**19)},
            {"currency": "eur"},
            {"currency": "BTC"},
            {"currency": None},
            {"currency": ["EUR"]},
            {"gateway": None},
            {"gateway": ""},
            {"gateway": 5},
            {"gateway": ["stripe"]},
            {"gateway": "stripe\x00"},
            {"gateway": "\ud800"},
            {"gateway": "x" * 192},
            {"code": 5},
            {"code": True},
            {"code": ["A"]},
            {"code": "A\nB"},
            {"code": "\ud800"},
            {"code": "A\x00"},
            {"code": "x" * 192},
            {"expires": None},
            {"expires": "1"},
            {"expires": 1.5},
            {"expires": True},
            {"expires": 10**30},
            {"expires": -(10**30)},
            {"expires": float("inf")},
            {"expires": float("nan")},
        ],
        ids=ascii,
    )
    def test_a_value_no_quote_can_have_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            read_token(_record(**changes))

        assert refusal.value.field == "quote"

    @pytest.mark.parametrize(
        "token", [None, 5, True, TOKEN.encode(), json.loads(TOKEN), [TOKEN], NotImplemented], ids=ascii
    )
    def test_a_token_is_text(self, token: Any) -> None:
        for read in (read_token, claim_of):
            with pytest.raises(InvalidRequest):
                read(token)

    def test_a_long_token_is_not_even_read(self) -> None:
        padded = TOKEN + " " * (2001 - len(TOKEN))

        assert read_token(padded[:2000]) == read_token(TOKEN)
        with pytest.raises(InvalidRequest, match="a Quote or its token"):
            read_token(padded)


def _read_or_refused(token: str) -> None:
    try:
        claim = read_token(token)
    except InvalidRequest:
        return
    assert abs(claim.amount.units) <= MAX_UNITS
    assert all(type(units) is int for units in claim.shown.values())
    assert len(fingerprint(claim.gateway, claim.code, claim.amount, sorted(claim.shown.items()))) == 32
