"""The verdict on a payment: only the very payment that was started, captured in full, becomes credit."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.money import Money
from prepaid.core.settlement import Expected, Verdict, judge
from prepaid.core.topups import CheckoutLink
from prepaid.ports import PaymentSnapshot

TOTAL = Money.of("59.50", "EUR")
EXPECTED = Expected(topup_id="top_1", checkout_id="cs_1", mode="live", account="acct_1", total=TOTAL)
PAID = PaymentSnapshot(
    checkout_id="cs_1",
    payment_id="pi_1",
    topup_id="top_1",
    state="captured",
    captured=TOTAL,
    mode="live",
    account="acct_1",
)
FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "checkout": ({"checkout_id": "cs_2"}, "checkout-differs"),
    "reference": ({"topup_id": "top_2"}, "reference-differs"),
    "no reference": ({"topup_id": None}, "reference-differs"),
    "mode": ({"mode": "test"}, "mode-differs"),
    "account": ({"account": "acct_2"}, "account-differs"),
}


def _judge(**changes: Any) -> Verdict:
    return judge(attrs.evolve(PAID, **changes), EXPECTED)


def test_the_payment_that_was_started_becomes_credit() -> None:
    assert _judge() == Verdict("credit")


@pytest.mark.parametrize(("change", "reason"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("state", ["open", "processing", "captured", "failed", "expired", "canceled"])
def test_a_payment_that_is_not_ours_moves_nothing_whatever_its_state(
    change: dict[str, Any], reason: str, state: str
) -> None:
    assert _judge(state=state, **change) == Verdict("mismatch", reason)


@pytest.mark.parametrize("captured", [Money.of("59.49", "EUR"), Money.of("59.51", "EUR"), Money(1, "EUR")], ids=str)
def test_another_amount_is_kept_for_a_person_to_see(captured: Money) -> None:
    assert _judge(captured=captured) == Verdict("review", "amount-differs")


@pytest.mark.parametrize(
    "captured", [Money.of("59.50", "USD"), Money.of("59.50", "INR"), Money.of("5950", "JPY")], ids=str
)
def test_the_same_number_of_another_currency_is_not_the_same_money(captured: Money) -> None:
    assert _judge(captured=captured) == Verdict("review", "currency-differs")


@pytest.mark.parametrize(
    "change",
    [{"payment_id": None}, {"captured": None}, {"captured": Money.zero("EUR")}, {"captured": -TOTAL}],
    ids=str,
)
def test_a_capture_of_nothing_is_no_capture(change: dict[str, Any]) -> None:
    assert _judge(**change) == Verdict("mismatch", "nothing-captured")


@pytest.mark.parametrize(
    ("state", "failure", "verdict"),
    [
        ("open", "", Verdict("wait")),
        ("processing", "", Verdict("processing")),
        ("authorised", "", Verdict("processing")),
        ("failed", "card_declined", Verdict("failed", "card_declined")),
        ("failed", "", Verdict("failed", "failed")),
        ("expired", "", Verdict("expired", "expired")),
        ("canceled", "", Verdict("canceled", "canceled")),
    ],
)
def test_what_is_not_captured_is_not_money(state: str, failure: str, verdict: Verdict) -> None:
    assert _judge(state=state, failure=failure) == verdict


@pytest.mark.parametrize(("mode", "account"), [(None, "acct_1"), ("live", None), (None, None)])
def test_what_a_gateway_does_not_show_is_not_compared(mode: str | None, account: str | None) -> None:
    assert _judge(mode=mode, account=account) == Verdict("credit")


def test_an_account_that_was_not_known_at_the_start_is_not_compared() -> None:
    assert judge(PAID, attrs.evolve(EXPECTED, account=None)) == Verdict("credit")


@pytest.mark.parametrize("change", [{"disputed": True}, {"refunded": TOTAL}, {"fee": Money.of("1", "USD")}], ids=str)
def test_a_refund_or_dispute_seen_at_first_sight_does_not_block_the_credit(change: dict[str, Any]) -> None:
    assert _judge(**change) == Verdict("credit")


@given(
    st.builds(
        PaymentSnapshot,
        checkout_id=st.sampled_from(["cs_1", "cs_2"]),
        payment_id=st.sampled_from([None, "pi_1"]),
        topup_id=st.sampled_from([None, "top_1", "top_2"]),
        state=st.sampled_from(["open", "processing", "authorised", "captured", "failed", "expired", "canceled"]),
        captured=st.sampled_from([None, TOTAL, Money.of("59.49", "EUR"), Money.of("59.50", "USD")]),
        mode=st.sampled_from([None, "live", "test"]),
        account=st.sampled_from([None, "acct_1", "acct_2"]),
    )
)
def test_only_a_full_capture_of_our_own_is_ever_credited(payment: PaymentSnapshot) -> None:
    credited = judge(payment, EXPECTED).kind == "credit"

    assert credited == (
        (payment.checkout_id, payment.topup_id, payment.state) == ("cs_1", "top_1", "captured")
        and payment.payment_id is not None
        and payment.captured == TOTAL
        and payment.mode != "test"
        and payment.account != "acct_2"
    )


def test_where_a_customer_pays_stays_out_of_logs() -> None:
    link = CheckoutLink(redirect_url="https://pay.example/secret", widget={"client_secret": "secret"})

    assert "secret" not in repr(link)
