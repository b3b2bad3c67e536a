"""What the example's operator decides about money: reviews, bank transfers, and which gateways are offered."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from prepaid import Money
from tests.examples.visiting import Visitor, hidden, money_in

UNKNOWN = "top_01m82v7m000000000000000000"
LINE = "Statement 2026-11, line 4"


def eur(amount: str) -> Money:
    return Money.of(amount, "EUR")


@pytest.fixture
def waiting(visitor: Visitor, panel: Any) -> Any:
    """A payment of a cent less than ordered, in the operator's hands."""
    visitor.pay("10.00", "short")
    visitor.be("operator")
    [topup] = panel.alice().topups.review().items
    return topup


@pytest.fixture
def expected(visitor: Visitor, panel: Any) -> Any:
    """A bank transfer of 59.50 that the customer was told to make."""
    visitor.begin("50.00", gateway="bank-transfer")
    visitor.be("operator")
    return panel.ada().topups.list().items[0]


def page_of(topup: Any) -> str:
    return f"/operator/topups/{topup.id}"


def decide(visitor: Visitor, topup: Any, action: str, **fields: str) -> Any:
    form = {"reason": "agreed with Ada", "key": hidden(visitor.get(page_of(topup)).text).get("key", "form"), **fields}
    return visitor.post(f"{page_of(topup)}/resolve", action=action, **form)


def confirm(visitor: Visitor, topup: Any, received: str, reference: str = LINE) -> Any:
    return visitor.post(f"{page_of(topup)}/transfer", received=received, reference=reference)


def state_of(panel: Any, topup: Any) -> str:
    return str(panel.alice().topups.facts(topup.id).topup.state)


# Reviews


def test_the_operator_sees_what_was_ordered_what_was_paid_and_what_is_wrong(visitor: Visitor, waiting: Any) -> None:
    assert f'href="{page_of(waiting)}"' in visitor.get("/operator/").text
    page = visitor.get(page_of(waiting)).text

    assert money_in(page, 'id="ordered"') == Decimal("11.90")
    assert money_in(page, 'id="paid"') == Decimal("11.89")
    assert money_in(page, 'id="difference"') == Decimal("-0.01")
    assert "Another amount was paid than ordered" in page


@pytest.mark.parametrize(
    ("action", "said", "balance", "state"),
    [
        ("credit_received", "What was paid is credited", "9.99", "credited"),
        ("credit_quoted", "What was ordered is credited", "10.00", "credited"),
        ("refund", "The money was sent back", "0", "refunded"),
    ],
)
def test_each_way_to_end_a_review(
    visitor: Visitor, panel: Any, waiting: Any, action: str, said: str, balance: str, state: str
) -> None:
    before = panel.ada().balance().settled

    page = decide(visitor, waiting, action).text

    assert said in page
    assert "End the review" not in page
    assert state_of(panel, waiting) == state
    assert panel.ada().balance().settled == before + eur(balance)
    assert panel.billing.check().ok
    assert panel.alice().audit.list().items[0].actor in ("alice", "gateway:simulated")
    assert "agreed with Ada" in visitor.get("/operator/audit").text


def test_a_review_that_ends_in_credit_sends_its_invoice_at_once(visitor: Visitor, panel: Any, waiting: Any) -> None:
    before = len(panel.outbox.files())

    decide(visitor, waiting, "credit_received")

    assert len(panel.outbox.files()) > before


def test_a_decision_sent_twice_is_one(visitor: Visitor, panel: Any, waiting: Any) -> None:
    before, form = panel.ada().balance().settled, {"key": "one-form"}

    first = decide(visitor, waiting, "credit_received", **form).text
    second = decide(visitor, waiting, "credit_received", **form).text

    assert "What was paid is credited" in first
    assert "What was paid is credited" in second
    assert panel.ada().balance().settled == before + eur("9.99")
    assert len([e for e in panel.alice().audit.list().items if e.action == "resolve-credit_received"]) == 1


def test_a_form_used_for_another_decision_is_refused_in_words(visitor: Visitor, panel: Any, waiting: Any) -> None:
    decide(visitor, waiting, "credit_received", key="one-form")

    conflicting = decide(visitor, waiting, "refund", key="one-form")
    late = decide(visitor, waiting, "refund", key="another-form")

    assert "This key ended the review in another way." in conflicting.text
    assert "This top-up does not wait in review." in late.text
    assert state_of(panel, waiting) == "credited"
    assert panel.alice().topups.facts(waiting.id).refunds == ()


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ({"action": ""}, "action", "Choose what becomes of it."),
        ({"action": "keep"}, "action", "action is one of"),
        ({"reason": " "}, "reason", "Say why"),
    ],
)
def test_what_is_missing_is_said_next_to_its_field_and_the_form_stays_the_same(
    visitor: Visitor, panel: Any, waiting: Any, fields: dict[str, str], place: str, said: str
) -> None:
    form = {"action": "credit_received", "reason": "agreed with Ada", "key": "one-form", **fields}

    page = visitor.post(f"{page_of(waiting)}/resolve", **form)

    assert page.status_code == 422
    error = re.search(f'id="{place}-error">([^<]+)', page.text)
    assert error is not None
    assert said.lower() in error.group(1).lower()
    assert hidden(page.text)["key"] == "one-form"
    assert state_of(panel, waiting) == "review"


def test_what_is_missing_is_said_also_when_the_form_is_gone(visitor: Visitor, waiting: Any) -> None:
    decide(visitor, waiting, "credit_received")

    page = decide(visitor, waiting, "refund", reason="")

    assert page.status_code == 422
    assert 'role="alert">Say why' in page.text


def test_money_on_its_way_back_is_shown_and_cannot_be_decided_about_again(
    visitor: Visitor, panel: Any, waiting: Any
) -> None:
    panel.gateway.script_refund("pending")

    page = decide(visitor, waiting, "refund").text

    assert "The money is on its way back." in page
    assert "On its way</span>" in page
    assert "End the review" not in page
    [refund] = panel.alice().topups.facts(waiting.id).refunds
    panel.gateway.finish_refund(refund.gateway_refund_id)
    assert "Asked again: refunded." in visitor.post(f"{page_of(waiting)}/recheck").text
    assert "Sent back</span>" in visitor.get(page_of(waiting)).text
    back = visitor.be("customer").get(f"/add-funds/back?topup={waiting.id}").text
    assert "Your payment was sent back" in back
    assert "Your payment is going back" not in back


def test_a_refund_that_failed_is_decided_about_again(visitor: Visitor, panel: Any, waiting: Any) -> None:
    panel.gateway.script_refund("failed")

    page = decide(visitor, waiting, "refund").text

    assert "The money could not be sent back." in page
    assert "End the review" in page
    decide(visitor, waiting, "credit_received")
    assert state_of(panel, waiting) == "credited"


def test_the_customer_is_told_that_a_payment_is_looked_at_and_then_goes_back(
    visitor: Visitor, panel: Any, waiting: Any
) -> None:
    panel.gateway.script_refund("pending")
    url = f"/add-funds/back?topup={waiting.id}"
    visitor.be("customer")
    assert "In review" in visitor.get("/").text
    assert "We are looking at your payment" in visitor.get(url).text

    decide(visitor.be("operator"), waiting, "refund")

    assert "Your payment is going back" in visitor.be("customer").get(url).text


def test_a_checkout_paid_twice_is_credited_once_and_the_second_payment_can_go_back(
    visitor: Visitor, panel: Any
) -> None:
    before = panel.ada().balance().settled

    assert "€50.00 added" in visitor.pay("50.00", "twice").text

    [second] = panel.alice().topups.review().items
    page = visitor.be("operator").get(page_of(second)).text
    assert "A checkout was paid a second time" in page
    assert f'href="/operator/topups/{second.further_of}"' in page
    decide(visitor, second, "refund")
    assert state_of(panel, second) == "refunded"
    assert panel.ada().balance().settled == before + eur("50.00")


def test_asking_again_about_a_short_payment_leaves_it_in_review(visitor: Visitor, waiting: Any) -> None:
    assert "Asked again: in review." in visitor.post(f"{page_of(waiting)}/recheck").text


def test_a_gateway_that_cannot_be_asked_is_no_fault_of_the_page(visitor: Visitor, panel: Any) -> None:
    visitor.begin("50.00")
    topup = panel.ada().topups.list().items[0]
    panel.gateway.fault_next("fetch_payment", "unavailable")

    page = visitor.be("operator").post(f"{page_of(topup)}/recheck")

    assert "The gateway cannot be asked now." in page.text


# Bank transfers


def test_a_transfer_is_explained_expected_confirmed_and_credited(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    url = visitor.begin("50.00", gateway="bank-transfer")
    told = visitor.get(url).text
    topup = panel.ada().topups.list().items[0]
    for text in ("Nimbus GmbH", "DE89 3704 0044 0532 0130 00", "59.50 EUR", topup.checkout.instructions["Reference"]):
        assert text in told
    visitor.be("operator")
    assert topup.checkout.instructions["Reference"] in visitor.get("/operator/").text
    assert 'name="received" value="59.50"' in visitor.get(page_of(topup)).text

    page = confirm(visitor, topup, "59,50").text

    assert "€59.50 confirmed. The credit is there." in page
    assert panel.ada().balance().settled == before + eur("50.00")
    assert "€50.00 added" in visitor.be("customer").get(url).text
    assert "Bank transfers expected" not in visitor.be("operator").get("/operator/").text


def test_a_transfer_confirmed_twice_is_one_payment(visitor: Visitor, panel: Any, expected: Any) -> None:
    before = panel.ada().balance().settled

    first, second = confirm(visitor, expected, "59.50"), confirm(visitor, expected, "59.50")
    other = confirm(visitor, expected, "60.00")

    assert "confirmed" in first.text
    assert "confirmed" in second.text
    assert "Another receipt was confirmed for this top-up." in other.text
    assert panel.ada().balance().settled == before + eur("50.00")


def test_a_transfer_of_another_amount_is_decided_about_but_cannot_be_sent_back_from_here(
    visitor: Visitor, panel: Any, expected: Any
) -> None:
    before = panel.ada().balance().settled

    assert "decide what becomes of it" in confirm(visitor, expected, "35.70").text
    refused = decide(visitor, expected, "refund")
    assert refused.status_code == 422
    assert "Bank transfer cannot give money back by itself." in refused.text
    decide(visitor, expected, "credit_received")

    assert panel.ada().balance().settled == before + eur("30.00")
    assert panel.billing.check().ok


def test_one_line_of_the_bank_statement_pays_one_topup(visitor: Visitor, panel: Any, expected: Any) -> None:
    confirm(visitor, expected, "59.50")
    visitor.be("customer").begin("50.00", gateway="bank-transfer")
    another = panel.ada().topups.list().items[0]

    page = confirm(visitor.be("operator"), another, "59.50")

    assert page.status_code == 422
    assert 'id="reference-error">This reference settled another top-up.' in page.text
    assert state_of(panel, another) == "pending"


@pytest.mark.parametrize(
    ("received", "reference", "place"),
    [("fifty", LINE, "received"), ("0", LINE, "received"), ("0.001", LINE, "received"), ("59.50", "", "reference")],
)
def test_a_confirmation_that_cannot_be_is_refused_next_to_its_field(
    visitor: Visitor, panel: Any, expected: Any, received: str, reference: str, place: str
) -> None:
    page = confirm(visitor, expected, received, reference)

    assert page.status_code == 422
    assert f'id="{place}-error"' in page.text
    assert f'name="received" value="{received}"' in page.text
    assert state_of(panel, expected) == "pending"


def test_a_payment_at_another_gateway_cannot_be_confirmed_by_hand(visitor: Visitor, panel: Any) -> None:
    visitor.begin("50.00")
    topup = panel.ada().topups.list().items[0]
    visitor.be("operator")

    page = confirm(visitor, topup, "59.50").text

    assert "is asked of the gateway" in page
    assert "Confirm the transfer" not in page
    assert state_of(panel, topup) == "pending"


def test_a_transfer_can_be_given_up_and_confirmed_all_the_same(visitor: Visitor, panel: Any, expected: Any) -> None:
    assert "Top-up cancelled" in visitor.be("customer").post(f"/topups/{expected.id}/cancel").text

    confirm(visitor.be("operator"), expected, "59.50")

    assert state_of(panel, expected) == "credited"


# Which gateways are offered


def test_a_gateway_is_offered_no_more_and_again(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("50.00", gateway="bank-transfer")
    page = visitor.be("operator").post("/operator/gateways/bank-transfer", act="disable").text
    assert "is not offered any more" in page
    assert "Not offered</span>" in page

    visitor.be("customer")
    assert 'value="bank-transfer"' not in visitor.get("/add-funds").text
    assert "not offered to you" in visitor.post("/add-funds", **order).text
    visitor.be("operator").post("/operator/gateways/bank-transfer", act="enable")

    assert 'value="bank-transfer"' in visitor.be("customer").get("/add-funds").text
    assert [entry.action for entry in panel.alice().audit.list().items[:2]] == ["settings", "settings"]


def test_without_any_gateway_the_form_says_so(visitor: Visitor) -> None:
    visitor.be("operator")
    for name in ("simulated", "bank-transfer"):
        visitor.post(f"/operator/gateways/{name}", act="disable")

    page = visitor.be("customer").get("/add-funds?amount=50.00")

    assert "Payments are not possible now." in page.text
    assert 'value="pay"' not in page.text


def test_what_is_open_at_a_gateway_that_is_not_offered_is_still_confirmed(
    visitor: Visitor, panel: Any, expected: Any
) -> None:
    visitor.post("/operator/gateways/bank-transfer", act="disable")

    confirm(visitor, expected, "59.50")

    assert state_of(panel, expected) == "credited"


# Safety


def test_a_topup_that_does_not_exist_has_no_page_and_no_acts(visitor: Visitor) -> None:
    visitor.be("operator")
    for wanted in (UNKNOWN, "nonsense"):
        answers = [
            visitor.get(f"/operator/topups/{wanted}"),
            visitor.post(f"/operator/topups/{wanted}/recheck"),
            visitor.post(f"/operator/topups/{wanted}/resolve", action="refund", reason="r", key="k"),
            visitor.post(f"/operator/topups/{wanted}/resolve", reason="r", key="k"),
            visitor.post(f"/operator/topups/{wanted}/transfer", received="59.50", reference=LINE),
            visitor.post(f"/operator/topups/{wanted}/transfer", received="x", reference=LINE),
        ]
        assert [answer.status_code for answer in answers] == [404] * 6


def test_a_gateway_or_an_act_that_does_not_exist_is_refused(visitor: Visitor) -> None:
    visitor.be("operator")

    assert visitor.post("/operator/gateways/nobody", act="enable").status_code == 400
    assert visitor.post("/operator/gateways/simulated", act="remove").status_code == 400
    assert visitor.post("/operator/gateways/simulated").status_code == 400


def test_the_customer_decides_nothing(visitor: Visitor, panel: Any, waiting: Any) -> None:
    visitor.be("customer")

    answers = [
        visitor.get(page_of(waiting)),
        visitor.post(f"{page_of(waiting)}/resolve", action="credit_quoted", reason="mine", key="k"),
        visitor.post(f"{page_of(waiting)}/transfer", received="11.90", reference=LINE),
        visitor.post(f"{page_of(waiting)}/recheck"),
        visitor.post("/operator/gateways/simulated", act="disable"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert state_of(panel, waiting) == "review"


def test_another_customers_transfer_is_not_shown(visitor: Visitor, panel: Any) -> None:
    ben = panel.billing.customer("ben")
    quote = ben.topups.quote(eur("50.00"), gateway="bank-transfer")
    topup = ben.topups.start(quote, return_url="http://localhost/", cancel_url="http://localhost/", key="ben")

    page = visitor.get(f"/add-funds/back?topup={topup.id}")

    assert page.status_code == 404
    assert topup.checkout.instructions["Reference"] not in page.text
    assert topup.checkout.instructions["Reference"] in visitor.be("operator").get("/operator/").text


def test_what_the_operator_types_is_shown_as_text(visitor: Visitor, waiting: Any) -> None:
    page = decide(visitor, waiting, "", reason='"><script>alert(1)</script>').text

    assert "<script>alert" not in page


def test_the_new_pages_hold_no_inline_script_style_or_foreign_address(visitor: Visitor, expected: Any) -> None:
    pages = [visitor.get("/operator/").text, visitor.get(page_of(expected)).text]
    pages.append(visitor.be("customer").get(f"/add-funds/back?topup={expected.id}").text)

    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)|javascript:", page)
        assert not re.search(r'(?:src|href|action)="(?!/|#)', page)


def test_every_kind_and_state_of_the_library_has_a_word(app: Any) -> None:
    import display
    from prepaid.core import payments, refunds, states, tax_ids, tax_rules, transfers

    assert set(display.KINDS) == set(transfers.TRANSACTION_KINDS)
    assert set(display.STATES) == set(states.TOPUP_STEPS)
    assert set(display.OPEN) == set(states.OPEN_STATES)
    assert set(display.PAID) == set(states.PAID_STATES)
    assert set(display.REFUNDS) == set(refunds.REFUND_STEPS)
    assert set(display.DISPUTES) == set(payments.DisputeState.__args__)
    assert set(display.TAX_ID_STATES) == set(tax_ids.TAX_ID_STATES)
    assert set(display.TREATMENTS) == set(tax_rules.CATEGORIES)
