"""The example's desk of refunds: deciding, two operators, other means, disputes, rules, and the provider's own desk."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples.refunding import (
    ask,
    asked_for,
    decide,
    eur,
    press,
    record,
    seen,
    text_of,
)
from tests.examples.visiting import Visitor, error_at, money_in

# Deciding


def test_the_operator_sees_what_is_asked_what_is_left_and_what_was_done(
    visitor: Visitor, panel: Any, bought: Any
) -> None:
    first = asked_for(panel, bought.id, "10.00")
    panel.alice().refunds.approve(first.id, reason="a part")
    asked = asked_for(panel, bought.id, "30.00", reason="Leaving")
    url = f"/operator/refunds/{asked.id}"
    assert f'href="{url}"' in visitor.be("operator").get("/operator/refunds").text

    page = visitor.get(url).text

    words = text_of(page)
    assert money_in(page, 'id="most"') == Decimal("40.00")
    assert "€47.60 in money, €7.60 of it tax" in words
    assert "Leaving" in words
    assert "Asked for it customer:ada, 30.00 EUR" in words
    assert "Money that goes back" in words
    assert "see the request" in words
    assert f'href="/operator/topups/{bought.id}"' in page


def test_the_queue_shows_open_requests_first_and_filters(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked = asked_for(panel, bought.id, "10.00")
    panel.alice().refunds.reject(asked.id, reason="no")
    visitor.be("operator")

    def customers(state: str) -> list[str]:
        return re.findall('data-customer="([^"]+)"', visitor.get(f"/operator/refunds{state}").text)

    assert customers("") == ["ben"]
    assert customers("?state=rejected") == ["ada"]
    assert customers("?state=refunded") == ["ada"]
    assert customers("?state=all") == ["ada", "ben", "ada"]
    assert customers("?state=failed") == []
    assert visitor.get("/operator/refunds?state=magic").status_code == 400
    assert visitor.get("/operator/refunds/req_01m82v7m000000000000000000").status_code == 404


def test_a_part_is_approved_with_reason_and_note(visitor: Visitor, panel: Any, bought: Any) -> None:
    before = panel.ada().balance().settled
    asked = asked_for(panel, bought.id, "30.00")

    words = text_of(decide(visitor, asked, amount="12,50", reason="half is fair", note="We keep the rest.").text)

    assert "Approved: it was given back." in words
    assert "Approved €12.50" in words
    assert "Decided by alice" in words
    assert "Approved it alice, 12.50 EUR half is fair" in words
    assert "Told to the customer: We keep the rest." in words
    assert panel.ada().balance().settled == before - eur("12.50")
    assert len(panel.outbox.files()) > 0
    assert panel.billing.check().ok


def test_a_decision_sent_twice_is_one_and_another_is_refused(visitor: Visitor, panel: Any, bought: Any) -> None:
    before = panel.ada().balance().settled
    asked = asked_for(panel, bought.id, "30.00")

    first, second = decide(visitor, asked), decide(visitor, asked)
    other = decide(visitor, asked, amount="10.00")
    late = decide(visitor, asked, "reject")

    assert "Approved: it was given back." in first.text
    assert "Approved: it was given back." in second.text
    assert (other.status_code, late.status_code) == (422, 422)
    assert 'role="alert">30.00 EUR was approved of this request.' in other.text
    assert 'role="alert">This request is refunded.' in late.text
    assert panel.ada().balance().settled == before - eur("30.00")
    assert len(panel.alice().topups.facts(bought.id).refunds) == 1


def test_a_request_is_declined(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked = asked_for(panel, bought.id, "30.00")
    page = decide(visitor, asked, "reject", amount="", reason="see ticket 4").text
    assert "Declined: nothing goes back." in page
    assert "Declined it</strong> alice" in page
    assert panel.ada().refunds.get(asked.id).state == "rejected"


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ({"decision": ""}, "", "Choose what you decide."),
        ({"decision": "keep"}, "", "Choose what you decide."),
        ({"amount": ""}, "amount", "Give the amount."),
        ({"amount": "30.01"}, "amount", "30.00 EUR was asked for."),
        ({"amount": "0.001"}, "amount", ""),
        ({"reason": ""}, "reason", "Say why"),
        ({"note": "x" * 501}, "note", "500 characters"),
    ],
)
def test_a_decision_that_cannot_be_is_said_next_to_its_field(
    visitor: Visitor, panel: Any, bought: Any, fields: dict[str, str], place: str, said: str
) -> None:
    asked = asked_for(panel, bought.id, "30.00")

    page = decide(
        visitor, asked, fields.get("decision", "approve"), **{k: v for k, v in fields.items() if k != "decision"}
    )

    assert page.status_code == 422
    assert said in (error_at(page.text, place) if place else page.text)
    assert panel.ada().refunds.get(asked.id) == asked


def test_what_was_spent_meanwhile_is_said_at_the_amount(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked = asked_for(panel, bought.id, "50.00")
    panel.billing.usage.charge("ada", eur("60.00"), key="much")

    page = decide(visitor, asked)

    assert "Of this 14.89 EUR can be given back." in error_at(page.text, "amount")
    assert money_in(page.text, 'id="most"') == Decimal("14.89")
    assert "Approved" in decide(visitor, asked, amount="14.89").text


def test_a_gateway_that_is_down_keeps_nobody_waiting(visitor: Visitor, panel: Any, bought: Any) -> None:
    panel.gateway.fault_next("refund", "timeout-after-accept")
    asked = asked_for(panel, bought.id, "30.00")

    page = decide(visitor, asked).text

    assert "the money is on its way" in page
    assert "Being looked up" in page
    visitor.post("/demo/advance", hours="3")
    assert panel.ada().refunds.get(asked.id).state == "refunded"


def test_two_operators_approve_above_the_limit(visitor: Visitor, panel: Any, bought: Any) -> None:
    panel.alice().settings.approvals(two_person_above=eur("20.00"))
    asked = asked_for(panel, bought.id, "30.00")
    url = f"/operator/refunds/{asked.id}"
    assert "Your approval is the first." in visitor.be("operator").get(url).text

    first = decide(visitor, asked, note="It comes.").text
    again = decide(visitor, asked).text

    assert "Another operator has to approve the same amount." in first
    assert "Another operator has to approve the same amount." in again
    assert "alice approved €30.00 . Somebody else has to approve the same amount." in text_of(again)
    assert panel.ada().refunds.get(asked.id).state == "confirming"
    visitor.be("second")
    seen_by_bob = visitor.get(url).text
    assert "alice approved €30.00 . Approve the same amount, and it goes back." in text_of(seen_by_bob)
    assert 'name="note" value="It comes."' in seen_by_bob
    other = decide(visitor, asked, person="second", amount="25.00")
    assert "30.00 EUR was approved of this request." in error_at(other.text, "amount")

    done = text_of(decide(visitor, asked, person="second", note="It comes.").text)

    assert "Approved: it was given back." in done
    assert "Approved it, as the first of two alice, 30.00 EUR fair" in done
    assert "Approved it bob, 30.00 EUR fair" in done
    assert panel.ada().refunds.get(asked.id).note == "It comes."


def test_what_went_back_of_a_payment_before_counts_towards_two_operators(
    visitor: Visitor, panel: Any, bought: Any
) -> None:
    panel.alice().settings.approvals(two_person_above=eur("20.00"))
    for amount, is_first in (("15.00", False), ("6.00", True)):
        asked = asked_for(panel, bought.id, amount)
        page = visitor.be("operator").get(f"/operator/refunds/{asked.id}").text
        assert ("Your approval is the first." in page) is is_first
        decide(visitor, asked)
    assert panel.ada().refunds.get(asked.id).state == "confirming"


def test_each_operator_acts_under_their_own_name(visitor: Visitor, panel: Any) -> None:
    page = visitor.be("second").get("/operator/").text
    assert re.search(r'value="second" aria-pressed="true">Operator \(Bob\)', page)
    visitor.post("/operator/gateways/simulated", act="disable")
    assert panel.alice().audit.list().items[0].actor == "bob"
    assert "This page is for somebody else" in visitor.get("/refunds").text
    assert visitor.post("/role", role="eve").status_code == 400


# By other means


def test_what_no_gateway_gives_back_is_recorded_and_answers_the_request(
    visitor: Visitor, panel: Any, transferred: Any
) -> None:
    assert "We send the money to your account" in visitor.get(f"/refunds/ask?of={transferred.id}").text
    asked = asked_for(panel, transferred.id, "20.00")
    page = visitor.be("operator").get(f"/operator/refunds/{asked.id}").text
    assert "Its gateway gives nothing back" in page
    assert '<details class="card more-to-do" open' in page
    refused = decide(visitor, asked)
    assert 'role="alert">Bank transfer cannot give money back by itself' in refused.text

    done = record(visitor, f"refunds/{asked.id}", amount="20.00").text

    assert "Approved: it was given back." in done
    assert "By other means" in done
    assert panel.ada().refunds.get(asked.id).state == "refunded"
    assert panel.ada().balance().settled == eur("54.89716")
    assert panel.ada().invoices.list().items[0].kind == "credit-note"
    assert panel.billing.check().ok


def test_a_refund_by_other_means_needs_no_request_and_its_proof_counts_once(
    visitor: Visitor, panel: Any, bought: Any
) -> None:
    before = panel.ada().balance().settled
    place = f"topups/{bought.id}"

    first, again = record(visitor, place), record(visitor, place)
    other = record(visitor, place, amount="11.00")

    assert "Recorded: the credit left the balance" in first.text
    assert "Recorded: the credit left the balance" in again.text
    assert error_at(other.text, "record-reference") == "This reference recorded another refund."
    assert panel.ada().balance().settled == before - eur("10.00")
    assert "By other means" in visitor.get(f"/operator/{place}").text


@pytest.mark.parametrize("of", ["refunds", "topups"])
@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"amount": ""}, "record-amount"),
        ({"amount": "50.01"}, "record-amount"),
        ({"amount": "x"}, "record-amount"),
        ({"reference": ""}, "record-reference"),
        ({"reason": ""}, "record-reason"),
    ],
)
def test_a_record_that_cannot_be_is_said_next_to_its_field(
    visitor: Visitor, panel: Any, bought: Any, of: str, fields: dict[str, str], place: str
) -> None:
    asked = asked_for(panel, bought.id, "20.00")
    before = panel.ada().balance()

    page = record(visitor, f"refunds/{asked.id}" if of == "refunds" else f"topups/{bought.id}", **fields)

    assert page.status_code == 422
    assert error_at(page.text, place)
    assert 'value="sent by hand"' in page.text or "reason" in fields
    assert '<details class="card more-to-do" open' in page.text
    assert panel.ada().balance() == before


def test_a_record_above_the_limit_takes_two_operators(visitor: Visitor, panel: Any, transferred: Any) -> None:
    panel.alice().settings.approvals(two_person_above=eur("10.00"))
    asked = asked_for(panel, transferred.id, "20.00")
    place = f"refunds/{asked.id}"

    alone = record(visitor, place, amount="20.00")
    assert "approval of another operator" in error_at(alone.text, "record-amount")
    decide(visitor, asked)
    again = record(visitor, place, amount="20.00")
    assert again.status_code == 422
    visitor.be("second")
    form = {"amount": "20.00", "reference": "SEPA 7", "reason": "sent by hand"}
    done = visitor.post(f"/operator/{place}/record", **form)

    assert "Approved: it was given back." in done.text
    assert panel.ada().refunds.get(asked.id).decided_by == "bob"


def test_of_what_is_not_there_nothing_is_decided_or_recorded(visitor: Visitor) -> None:
    visitor.be("operator")
    form = {"amount": "1", "reference": "r", "reason": "x", "note": "", "decision": "approve"}
    for url in (
        "/operator/refunds/req_01m82v7m000000000000000000/decide",
        "/operator/refunds/req_01m82v7m000000000000000000/record",
        "/operator/topups/top_01m82v7m000000000000000000/record",
    ):
        assert visitor.post(url, **form).status_code == 404


# Disputes


def test_disputes_are_listed_by_state_with_what_they_did(visitor: Visitor, panel: Any, bought: Any) -> None:
    visitor.pay("20.00")
    second = panel.ada().topups.list().items[0]
    for topup, end in ((bought, "win"), (second, "lose")):
        press(visitor, topup, "dispute")
        [dispute] = panel.alice().topups.facts(topup.id).disputes
        press(visitor, topup, end, dispute.dispute_id)

    def shown(state: str) -> str:
        return text_of(visitor.get(f"/operator/disputes?state={state}").text)

    assert "ben Open The bank took €24.00; €20.00 of credit is held" in shown("open")
    assert "ada Won The money came back; nothing is held" in shown("won")
    assert "ada Lost The bank kept €23.80; €20.00 of credit left the balance" in shown("lost")
    assert len(re.findall('<tr data-state="', visitor.get("/operator/disputes?state=all").text)) == 3
    assert visitor.get("/operator/disputes?state=magic").status_code == 400
    assert panel.billing.check().ok


def test_an_inquiry_takes_nothing_and_may_become_a_dispute(visitor: Visitor, panel: Any, bought: Any) -> None:
    press(visitor, bought, "inquire")
    assert "Nothing was taken" in visitor.get("/operator/disputes").text
    assert panel.ada().holds() == ()
    [dispute] = panel.alice().topups.facts(bought.id).disputes

    press(visitor, bought, "escalate", dispute.dispute_id)

    assert [hold.amount for hold in panel.ada().holds()] == [eur("50.00")]


def test_a_dispute_and_a_refund_stand_on_the_page_of_their_topup(visitor: Visitor, panel: Any, bought: Any) -> None:
    decide(visitor, asked_for(panel, bought.id, "20.00"))
    press(visitor, bought, "dispute")

    words = text_of(visitor.get(f"/operator/topups/{bought.id}").text)

    assert "Sent back Asked for here see the request fair alice" in words
    assert "€20.00 €23.80 €3.80 of it tax" in words.replace("Credit €20.00", "€20.00")
    assert "€30.00 of credit is held" in words
    assert "Nothing of it can be given back: The payment is disputed at its bank." in words
    assert "Given back by other means" not in words


def test_a_customer_who_disputes_is_frozen_by_rule_and_freed_with_a_reason(
    visitor: Visitor, panel: Any, bought: Any
) -> None:
    visitor.be("operator").post("/operator/refund-rules", act="freeze", freeze="yes")
    press(visitor, bought, "dispute")
    [other] = [each for each in panel.ada().refunds.eligible().items if str(each.total) == "25.00 EUR"]
    assert "The customer is frozen." in ask(visitor.be("customer"), other.id, "5.00").text

    without = visitor.be("operator").post("/operator/unfreeze", customer="ada", reason="")
    nobody = visitor.post("/operator/unfreeze", customer="eve", reason="x")
    freed = visitor.post("/operator/unfreeze", customer="ada", reason="talked to her")

    assert "Say why" in error_at(without.text, "reason")
    assert nobody.status_code == 422
    assert "ada is not frozen." in freed.text
    assert "Your request is with us." in ask(visitor.be("customer"), other.id, "5.00").text


# Rules


def test_the_rules_are_shown_and_set_one_by_one(visitor: Visitor, panel: Any) -> None:
    page = visitor.be("operator").get("/operator/refund-rules").text
    assert 'name="two_person_above" value="50.00"' in page
    assert "Customers may ask at any time." in page

    visitor.post("/operator/refund-rules", act="approvals", two_person_above="80")
    visitor.post("/operator/refund-rules", act="times", topups_within="14", charges_within="2")
    words = text_of(visitor.post("/operator/refund-rules", act="freeze", freeze="yes").text)

    rules = panel.alice().refunds.rules()
    assert rules.two_person_above == (eur("80.00"),)
    assert (rules.topups_within, rules.charges_within) == (timedelta(days=14), timedelta(days=2))
    assert rules.freezes
    assert "More than €80.00 of one top-up or charge takes two operators." in words
    assert "Customers may ask for a top-up within 14 days and for usage within 2 days." in words
    for act in ("approvals", "times", "freeze"):
        visitor.post("/operator/refund-rules", act=act)
    rules = panel.alice().refunds.rules()
    assert (rules.two_person_above, rules.topups_within, rules.charges_within, rules.freezes) == ((), None, None, False)
    assert "One operator decides alone." in visitor.get("/operator/refunds").text


@pytest.mark.parametrize(
    ("act", "field", "value"),
    [
        ("approvals", "two_person_above", "much"),
        ("approvals", "two_person_above", "-1"),
        ("times", "topups_within", "0"),
        ("times", "charges_within", "3661"),
        ("times", "charges_within", "soon"),
    ],
)
def test_a_rule_that_cannot_be_is_said_next_to_its_field(
    visitor: Visitor, panel: Any, act: str, field: str, value: str
) -> None:
    before = panel.alice().refunds.rules()

    page = visitor.be("operator").post("/operator/refund-rules", act=act, **{field: value})

    assert page.status_code == 422
    assert error_at(page.text, field)
    assert f'name="{field}" value="{value}"' in page.text
    assert panel.alice().refunds.rules() == before
    assert visitor.post("/operator/refund-rules", act="magic").status_code == 400


def test_too_late_is_said_to_the_customer(visitor: Visitor, panel: Any, bought: Any) -> None:
    panel.alice().settings.refunds(topups_within=timedelta(hours=1))
    visitor.post("/demo/advance", hours="3")
    assert "It is too long ago." in visitor.get(f"/refunds/ask?of={bought.id}").text


# The provider's desk


def test_money_given_back_at_the_provider_is_heard_of(visitor: Visitor, panel: Any, bought: Any) -> None:
    before = panel.ada().balance().settled

    page = press(visitor, bought, "refund", amount="11.90").text

    assert "€11.90 back" in text_of(page)
    assert panel.ada().balance().settled == before - eur("10.00")
    assert "Made at the gateway" in visitor.get(f"/operator/topups/{bought.id}").text
    press(visitor, bought, "refund")
    assert panel.ada().balance().settled == before - eur("50.00")
    assert panel.billing.check().ok


@pytest.mark.parametrize(("act", "state", "balance"), [("finish", "refunded", "30.00"), ("fail", "failed", "50.00")])
def test_a_refund_on_its_way_ends_at_the_provider(
    visitor: Visitor, panel: Any, bought: Any, act: str, state: str, balance: str
) -> None:
    before = panel.ada().balance().settled - eur("50.00")
    visitor.be("operator").post("/simulated-desk/next", outcome="pending")
    asked = asked_for(panel, bought.id, "20.00")
    assert "the money is on its way" in decide(visitor, asked).text
    [refund] = panel.alice().topups.facts(bought.id).refunds

    press(visitor, bought, act, refund.gateway_refund_id)

    assert panel.ada().refunds.get(asked.id).state == state
    assert panel.ada().balance().settled == before + eur(balance)


@pytest.mark.parametrize("act", ["refund", "dispute", "inquire"])
def test_a_button_of_the_desk_that_is_pressed_twice_acts_once(
    visitor: Visitor, panel: Any, bought: Any, act: str
) -> None:
    shown = seen(visitor, bought)

    visitor.post("/simulated-desk", act=act, seen=shown, amount="5.95", about="")
    second = visitor.post("/simulated-desk", act=act, seen=shown, amount="5.95", about="")

    assert "This payment has changed meanwhile." in second.text
    facts = panel.alice().topups.facts(bought.id)
    assert len(facts.refunds) + len(facts.disputes) == 1


def test_what_the_desk_cannot_do_is_said(visitor: Visitor, panel: Any, bought: Any) -> None:
    assert "The payment does not hold so much." in press(visitor, bought, "refund", amount="100").text
    assert press(visitor, bought, "win", "dp_none").status_code == 200
    assert press(visitor, bought, "magic").status_code == 400
    assert visitor.post("/simulated-desk/next", outcome="magic").status_code == 400
    assert visitor.be("customer").get("/simulated-desk").status_code == 403
    assert panel.alice().topups.facts(bought.id).refunds == ()
