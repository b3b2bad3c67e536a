"""The example's vouchers: redeemed by the customer, made, listed and ended by the operator."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest

from prepaid import Money
from tests.examples.visiting import Visitor, error_at, money_in

VOUCHERS = {"amount": "5", "count": "3", "prefix": "gift", "reason": "the fair", "key": "k1"}


def redeem(visitor: Visitor, code: str) -> Any:
    return visitor.post("/vouchers", voucher=code)


def seeded_code(panel: Any) -> str:
    return str(panel.voucher_to_try())


# The customer


def test_a_voucher_is_on_the_balance_and_in_the_history(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    shown = visitor.get("/").text

    page = redeem(visitor, f" {seeded_code(panel).lower()} ").text

    assert seeded_code(panel) in shown
    assert "The €15.00 of this voucher are on your balance. It is to be used before" in page
    assert panel.ada().balance().settled == before + Money.of("15.00", "EUR")
    assert money_in(page, 'id="balance"') == panel.ada().balance().settled.amount
    history = visitor.get("/transactions?kind=voucher").text
    assert re.findall('data-kind="([^"]+)"', history) == ["voucher"]
    assert f"Voucher …{seeded_code(panel)[-2:]}" in history


def test_a_voucher_redeemed_twice_is_credited_once(visitor: Visitor, panel: Any) -> None:
    redeem(visitor, seeded_code(panel))
    before = panel.ada().balance().settled

    again = redeem(visitor, seeded_code(panel))

    assert again.status_code == 200
    assert panel.ada().balance().settled == before


def test_a_voucher_without_an_end_of_its_credit_says_none(visitor: Visitor, panel: Any) -> None:
    made = panel.alice().vouchers.create(Money.of("1.00", "EUR"), reason="test")

    assert "on your balance.</p>" in redeem(visitor, made[0].code).text


@pytest.mark.parametrize(
    ("code", "said"),
    [("", "Type the code."), ("FAIR-2222-2222-2222-2222", "not known"), ("<b>", "not known"), ("x" * 500, "not known")],
)
def test_a_voucher_that_is_none_is_told_beside_its_field(visitor: Visitor, panel: Any, code: str, said: str) -> None:
    before = panel.ada().balance().settled

    answer = redeem(visitor, code)

    assert answer.status_code == 422
    assert said in error_at(answer.text, "voucher")
    assert "<b>" not in answer.text
    assert panel.ada().balance().settled == before


def test_vouchers_of_others_over_and_frozen_customers_are_told_beside_the_field(visitor: Visitor, panel: Any) -> None:
    amount, soon = Money.of("1.00", "EUR"), panel.clock.now() + timedelta(hours=1)
    [taken] = panel.alice().vouchers.create(amount)
    panel.billing.customer("ben").vouchers.redeem(taken.code)
    [over] = panel.alice().vouchers.create(amount, expires_at=soon)
    panel.clock.advance(hours=2)

    assert "has been used" in error_at(redeem(visitor, taken.code).text, "voucher")
    assert "expired" in error_at(redeem(visitor, over.code).text, "voucher")
    panel.alice().customers.freeze("ada", reason="test")
    assert "frozen" in error_at(redeem(visitor, seeded_code(panel)).text, "voucher")


def test_too_many_vouchers_in_vain_are_told_with_the_time(visitor: Visitor, panel: Any) -> None:
    for number in range(10):
        redeem(visitor, f"FAIR-2222-2222-2222-222{number}")

    said = error_at(redeem(visitor, seeded_code(panel)).text, "voucher")

    assert re.fullmatch(r"Too many codes were tried\. Try again after \d\d:\d\d\.", said)


# The operator


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    return visitor.be("operator")


def make(visitor: Visitor, **fields: str) -> Any:
    return visitor.post("/operator/new-vouchers", **{**VOUCHERS, **fields})


def codes_in(page: str) -> list[str]:
    found = re.search(r'<pre class="codes"[^>]*>([^<]+)</pre>', page)
    assert found is not None
    return found.group(1).split("\n")


def batch_in(page: str) -> str:
    found = re.search(r'href="(/operator/vouchers\?batch=[^"]+)"', page)
    assert found is not None
    return html.unescape(found.group(1))


def test_codes_are_shown_once_and_as_a_file(operator: Visitor, panel: Any) -> None:
    answer = make(operator, credit_valid_for="90")
    codes = codes_in(answer.text)
    file = re.search(r'download="vouchers.csv" href="data:text/csv;charset=utf-8,([^"]+)"', answer.text)
    assert file is not None
    rows = list(csv.DictReader(io.StringIO(unquote(html.unescape(file.group(1))))))

    assert len(set(codes)) == 3
    assert all(code.startswith("GIFT-") for code in codes)
    assert [row["code"] for row in rows] == codes
    assert {row["id"] for row in rows} == {voucher.id for voucher in panel.alice().vouchers.list(limit=3).items}
    assert {(row["amount"], row["currency"], row["expires_at"]) for row in rows} == {("5.00", "EUR", "")}
    assert answer.headers["Cache-Control"] == "no-store"
    listed = operator.get(batch_in(answer.text)).text
    assert not any(code in listed for code in codes)
    assert sorted(re.findall("…([0-9A-Z]{2})</span>", listed)) == sorted(code[-2:] for code in codes)
    assert panel.ada().vouchers.redeem(codes[0]).amount == Money.of("5.00", "EUR")
    audit = panel.alice().audit.list().items[0]
    assert (audit.action, audit.reason) == ("create-vouchers", "the fair")


def test_a_form_sent_twice_makes_one_batch(operator: Visitor, panel: Any) -> None:
    make(operator)
    again = make(operator)
    without = make(operator, key="")

    assert "This form was used before" in again.text
    assert "This form was used before" in without.text
    assert len(panel.alice().vouchers.list().items) == 5 + 3


def test_codes_last_until_a_day_begins_in_our_zone(operator: Visitor, panel: Any) -> None:
    make(operator, expires_at="2999-07-01")

    assert panel.alice().vouchers.list().items[0].expires_at.isoformat() == "2999-06-30T22:00:00+00:00"


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"amount": ""}, "amount", "Give the amount."),
        ({"amount": "lots"}, "amount", ""),
        ({"amount": "0"}, "amount", ""),
        ({"amount": "1.001"}, "amount", ""),
        ({"count": ""}, "count", "Give how many."),
        ({"count": "0"}, "count", "whole number"),
        ({"count": "10001"}, "count", "10000"),
        ({"prefix": "x" * 17}, "prefix", "16"),
        ({"prefix": "<b>"}, "prefix", ""),
        ({"expires_at": "2020-01-01"}, "expires_at", "in the future"),
        ({"expires_at": "soon"}, "expires_at", "Give a day"),
        ({"credit_valid_for": "0"}, "credit_valid_for", "whole number"),
        ({"credit_valid_for": "99999"}, "credit_valid_for", "at most"),
        ({"reason": "x" * 501}, "reason", ""),
    ],
)
def test_vouchers_that_cannot_be_are_refused_beside_their_field(
    operator: Visitor, panel: Any, wrong: dict[str, str], field: str, said: str
) -> None:
    answer = make(operator, **wrong)

    message = error_at(answer.text, field)
    assert answer.status_code == 422
    assert said in message
    assert not re.search("expires_at|valid_for|<b>", message)
    assert len(panel.alice().vouchers.list().items) == 5


def test_the_list_shows_states_and_by_whom_and_filters(operator: Visitor) -> None:
    page = operator.get("/operator/vouchers").text
    redeemed = operator.get("/operator/vouchers?state=redeemed").text

    assert re.findall('data-state="([^"]+)"', page) == ["open"] * 4 + ["redeemed"]
    assert re.findall('data-state="([^"]+)"', redeemed) == ["redeemed"]
    assert "ben" in redeemed
    assert "None in this state" in operator.get("/operator/vouchers?state=ended").text
    assert operator.get("/operator/vouchers?state=magic").status_code == 400
    assert operator.get("/operator/vouchers?batch=bat_none").status_code == 404


def test_one_voucher_ends_and_then_the_rest_of_its_batch(operator: Visitor, panel: Any) -> None:
    url = batch_in(operator.get("/operator/vouchers").text)
    end = url.replace("/vouchers?", "/vouchers/end?")
    first = panel.alice().vouchers.list().items[0]

    without = operator.post(end, voucher=first.id)
    one = operator.post(end, voucher=first.id, reason="a misprint")
    rest = operator.post(end, voucher="", reason="the fair is over")
    again = operator.post(end, voucher="", reason="the fair is over")

    assert without.status_code == 422
    assert error_at(without.text, "reason")
    assert f'value="{first.id}" selected' in without.text
    assert "1 voucher ended." in one.text
    assert "3 vouchers ended." in rest.text
    assert "It was not open any more." in again.text
    assert [voucher.state for voucher in panel.alice().vouchers.list().items] == ["ended"] * 4 + ["redeemed"]
    acts = [(entry.action, entry.reason) for entry in panel.alice().audit.list().items[:2]]
    assert acts == [("end-vouchers", "the fair is over"), ("end-vouchers", "a misprint")]


def test_a_long_batch_comes_in_pages_that_stay_with_it(operator: Visitor) -> None:
    url: str | None = batch_in(make(operator, count="30").text)
    endings: list[str] = []
    while url:
        page = operator.get(url).text
        endings += re.findall("…([0-9A-Z]{2})</span>", page)
        older = re.search(r'href="([^"]+)">Older', page)
        url = html.unescape(older.group(1)) if older else None

    assert len(endings) == 30


def test_the_money_of_the_seeded_batch_is_with_ben(panel: Any) -> None:
    assert panel.billing.customer("ben").balance().promotional.amount == Decimal("16.00")
    assert panel.billing.check().ok
