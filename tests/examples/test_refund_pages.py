"""The example's refunds as customers see them: asking, what became of it, credit notes, markup that stays text."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from tests.examples.refunding import (
    MARKUP,
    UNKNOWN,
    ask,
    asked_for,
    assert_is_text,
    decide,
    eur,
    press,
    record,
    text_of,
)
from tests.examples.visiting import Visitor, error_at, hidden, money_in

# What the demo begins with


def test_the_first_visit_shows_a_request_a_credit_note_and_a_dispute(visitor: Visitor, panel: Any) -> None:
    mine = text_of(visitor.get("/refunds").text)
    queue = text_of(visitor.be("operator").get("/operator/refunds").text)
    disputes = text_of(visitor.get("/operator/disputes").text)

    assert "€15.00 Top-up, Simulated card" in mine
    assert "€17.85 (€2.85 of it tax) went back to you. No problem: all of it goes back." in mine
    assert "ben Top-up I need less than I thought €6.00 Waiting" in queue
    assert "More than €50.00 of one top-up or charge takes two operators." in queue
    assert "ben Open The bank took €24.00; €20.00 of credit is held fraudulent €24.00" in disputes
    assert panel.billing.check().ok


# What may be asked back


def test_everything_says_how_much_and_why_not_more(visitor: Visitor, bought: Any) -> None:
    page = visitor.get("/refunds").text
    rows = [text_of(f"<main>{row}") for row in re.findall(r'<tr data-id="[^"]+">(.*?)</tr>', page, re.DOTALL)]

    assert "€50.00 €50.00 €59.50 in money, €9.50 of it tax Ask for it" in rows[0]
    assert "€25.00 €24.89 €29.61 in money, €4.72 of it tax The rest of it was spent. Ask for it" in rows[1]
    assert rows[2].endswith("€15.00 €0.00 The rest of it was given back before.")
    assert "€0.00833 €0.00833" in rows[3].replace(" 833", "833")
    assert "As credit, on your balance Ask for it" in rows[3]


def test_what_may_be_asked_back_comes_in_pages(visitor: Visitor, panel: Any) -> None:
    url, found = "/refunds", []
    while url:
        page = visitor.get(url).text
        found += re.findall(r'<tr data-id="([^"]+)"', page)
        older = re.search(r'href="([^"]+)">Older', page)
        url = html.unescape(older.group(1)) if older else ""

    assert found == [each.id for each in panel.ada().refunds.eligible(limit=200).items]
    assert visitor.get("/refunds?cursor=forged").status_code == 400
    assert visitor.get("/refunds?asked=forged").status_code == 400


def test_a_bonus_that_is_taken_back_is_said_before_asking(visitor: Visitor, panel: Any) -> None:
    visitor.post("/add-funds", **(visitor.order("50.00") | {"code": "WELCOME10"}))
    page = visitor.post("/add-funds", amount="50.00", gateway="simulated", code="WELCOME10", act="update").text
    visitor.post("/add-funds", amount="50.00", gateway="simulated", code="WELCOME10", act="pay", **hidden(page))
    [topup] = [each for each in panel.ada().topups.list().items if each.code]
    panel.gateway.pay(str(topup.checkout.redirect_url).rsplit("/", 1)[1])
    panel.ada().topups.confirm(topup.id)

    form = visitor.get(f"/refunds/ask?of={topup.id}").text

    assert money_in(form, 'id="most"') == Decimal("50.00")
    assert money_in(form, 'id="cash"') == Decimal("59.50")
    assert money_in(form, 'id="clawback"') == Decimal("5.00")
    assert "€5.00 of bonus is taken back" in visitor.get("/refunds").text


# Asking


def test_a_request_moves_no_money_and_is_listed_in_words(visitor: Visitor, panel: Any, bought: Any) -> None:
    before = panel.ada().balance()
    form = visitor.get(f"/refunds/ask?of={bought.id}").text
    assert 'name="amount" value="50.00"' in form

    page = ask(visitor, bought.id, "20,00", reason="Moved elsewhere")

    words = text_of(page.text)
    assert "Your request is with us." in words
    assert "€20.00 Top-up, Simulated card" in words
    assert "Until then the credit stays on your balance. You wrote: Moved elsewhere Waiting Withdraw" in words
    assert "A refund of it was requested already." in words
    assert panel.ada().balance() == before


def test_a_button_pressed_twice_asks_once(visitor: Visitor, panel: Any, bought: Any) -> None:
    for _ in range(2):
        assert "Your request is with us." in ask(visitor, bought.id, "20.00", key="one-form").text
    assert [str(each.amount) for each in panel.ada().refunds.list().items] == ["20.00 EUR", "15.00 EUR"]


def test_a_form_that_was_used_is_not_used_for_something_else(visitor: Visitor, panel: Any, bought: Any) -> None:
    ask(visitor, bought.id, "20.00", key="one-form")
    [other] = [each for each in panel.ada().refunds.eligible().items if str(each.total) == "25.00 EUR"]

    page = ask(visitor, other.id, "5.00", key="one-form")

    assert page.status_code == 422
    assert "This form was used before." in page.text
    assert hidden(page.text)["key"] != "one-form"
    assert 'value="5.00"' in page.text
    assert len(panel.ada().refunds.list().items) == 2


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ({"amount": ""}, "amount", "Give the amount."),
        ({"amount": "all"}, "amount", ""),
        ({"amount": "0"}, "amount", ""),
        ({"amount": "-5"}, "amount", ""),
        ({"amount": "1.005"}, "amount", "2 decimal digits"),
        ({"amount": "50.01"}, "amount", "Of this 50.00 EUR may be asked back."),
        ({"reason": " "}, "reason", "Say why"),
        ({"reason": "x" * 501}, "reason", "500 characters"),
    ],
)
def test_what_cannot_be_asked_is_said_next_to_its_field_and_stays(
    visitor: Visitor, panel: Any, bought: Any, fields: dict[str, str], place: str, said: str
) -> None:
    page = ask(visitor, bought.id, **{"amount": "20.00", "key": "one-form", **fields})

    assert page.status_code == 422
    assert said in error_at(page.text, place)
    assert re.search(rf'<input id="{place}"[^>]*aria-invalid="true"', page.text)
    assert hidden(page.text)["key"] == "one-form"
    assert 'name="reason" value="x' in page.text or place == "amount" or fields["reason"].isspace()
    assert len(panel.ada().refunds.list().items) == 1


def test_what_was_asked_for_meanwhile_is_said_and_the_form_is_gone(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked_for(panel, bought.id, "20.00")

    page = ask(visitor, bought.id, "10.00")

    assert page.status_code == 422
    assert "A refund of it was requested already." in page.text
    assert 'name="amount"' not in page.text


def test_a_customer_who_is_frozen_is_told(visitor: Visitor, panel: Any, bought: Any) -> None:
    panel.alice().customers.freeze("ada", reason="looked into")
    page = ask(visitor, bought.id, "10.00")
    assert page.status_code == 422
    assert 'role="alert">The customer is frozen.' in page.text


@pytest.mark.parametrize("subject_id", UNKNOWN)
def test_of_what_is_nobodys_there_is_no_form(visitor: Visitor, subject_id: str) -> None:
    assert visitor.get("/refunds/ask").status_code == 404
    assert visitor.client.get("/refunds/ask", query_string={"of": subject_id}).status_code == 404
    sent = {"csrf": visitor.token(), "amount": "1", "reason": "x", "key": "k"}
    assert visitor.client.post("/refunds/ask", query_string={"of": subject_id}, data=sent).status_code == 404


def test_what_is_anothers_is_not_found(visitor: Visitor, panel: Any) -> None:
    ben = panel.billing.customer("ben")
    [asked] = ben.refunds.list().items

    for topup in ben.topups.list().items:
        assert visitor.get(f"/refunds/ask?of={topup.id}").status_code == 404
    assert visitor.post(f"/refunds/{asked.id}/withdraw").status_code == 404
    assert ben.refunds.get(asked.id).state == "requested"


def test_a_top_up_that_is_not_paid_cannot_be_asked_back(visitor: Visitor, panel: Any) -> None:
    visitor.begin("50.00")
    page = visitor.get(f"/refunds/ask?of={panel.ada().topups.list().items[0].id}")
    assert page.status_code == 400
    assert "Nothing was paid for it." in page.text


def test_a_request_is_withdrawn_once_and_not_after_it_was_decided(visitor: Visitor, panel: Any, bought: Any) -> None:
    first = asked_for(panel, bought.id, "20.00")
    assert "Your request is withdrawn." in visitor.post(f"/refunds/{first.id}/withdraw").text
    assert "Your request is withdrawn." in visitor.post(f"/refunds/{first.id}/withdraw").text
    assert "You took it back." in visitor.get("/refunds").text
    second = asked_for(panel, bought.id, "30.00")
    panel.alice().refunds.approve(second.id, reason="fair")

    assert "This request was decided." in visitor.post(f"/refunds/{second.id}/withdraw").text
    assert panel.ada().refunds.get(second.id).state == "refunded"


def test_requests_come_in_pages(visitor: Visitor, panel: Any, bought: Any) -> None:
    for number in range(1, 8):
        panel.ada().refunds.withdraw(asked_for(panel, bought.id, f"{number}.00").id)

    page = visitor.get("/refunds").text
    older = re.search(r'href="(/refunds\?asked=[^"]+)">Older', page)

    assert older is not None
    assert page.count('<li class="request"') == 6
    assert visitor.get(html.unescape(older.group(1))).text.count('<li class="request"') == 2


# What became of it


@pytest.mark.parametrize(
    ("outcome", "amount", "said"),
    [
        ("succeeded", "20.00", "€23.80 (€3.80 of it tax) went back to you."),
        ("pending", "20.00", "€23.80 (€3.80 of it tax) is on the way to you."),
        ("pending", "5.00", "€5.00 of it was approved. €5.95 (€0.95 of it tax) is on the way to you."),
        ("failed", "20.00", "The money did not arrive. The credit is on your balance again."),
    ],
)
def test_the_customer_reads_what_became_of_a_request(
    visitor: Visitor, panel: Any, bought: Any, outcome: str, amount: str, said: str
) -> None:
    panel.gateway.script_refund(outcome)
    asked = asked_for(panel, bought.id, "20.00")
    panel.alice().refunds.approve(asked.id, amount=eur(amount), reason="fair", note="Have a good time.")

    words = text_of(visitor.get("/refunds").text)

    assert f"{said} Have a good time." in words
    assert "Withdraw" not in words


def test_the_customer_reads_that_a_request_was_declined_and_how_many_look_is_not_said(
    visitor: Visitor, panel: Any, bought: Any
) -> None:
    panel.alice().settings.approvals(two_person_above=eur("10.00"))
    asked = asked_for(panel, bought.id, "20.00")
    panel.alice().refunds.approve(asked.id, reason="fair")
    waiting = text_of(visitor.get("/refunds").text)
    panel.operator("bob").refunds.reject(asked.id, reason="abuse", note="Please write to us.")

    declined = text_of(visitor.get("/refunds").text)

    assert "Waiting Withdraw" in waiting
    assert "second operator" not in waiting
    assert "Nothing goes back. Please write to us." in declined
    assert "abuse" not in declined


def test_usage_comes_back_as_credit_and_the_history_says_so(visitor: Visitor, panel: Any) -> None:
    used = next(each for each in panel.ada().refunds.eligible().items if each.kind == "charge")
    before = panel.ada().balance().settled
    form = visitor.get(f"/refunds/ask?of={used.id}").text
    assert f'name="amount" value="{used.credit.amount:f}"' in form
    assert "credit note" not in form
    ask(visitor, used.id, f"{used.credit.amount:f}", reason="It did not answer")
    asked = panel.ada().refunds.list().items[0]

    page = decide(visitor, asked, note="Our mistake.").text

    assert "Approved: it was given back." in page
    assert panel.ada().balance().settled == before + used.credit
    visitor.be("customer")
    assert "of credit is on your balance again. Our mistake." in text_of(visitor.get("/refunds").text)
    history = text_of(visitor.get("/transactions?kind=reversal").text)
    assert "Correction Refund. Our mistake." in history


def test_a_credit_note_says_what_it_corrects_and_is_a_file(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked = asked_for(panel, bought.id, "20.00")
    decide(visitor, asked)
    visitor.be("customer")
    note, invoice = panel.ada().invoices.list().items[:2]

    listed = text_of(visitor.get("/invoices").text)
    page = visitor.get(f"/invoices/{note.id}").text
    file = visitor.get(f"/invoices/{note.id}/pdf")

    assert f"{note.number} Credit note corrects {invoice.number}" in listed
    assert f"{invoice.number} Invoice" in listed
    assert f'<p id="corrects">Corrects <a href="/invoices/{invoice.number}">{invoice.number}</a>' in page
    assert f"<h1>{note.number}</h1>" in page
    assert "Goes back" in page
    assert visitor.get(f"/invoices/{invoice.number}").status_code == 200
    assert file.headers["Content-Disposition"] == f"attachment; filename={note.number}.pdf"
    assert note.number in "".join(each.extract_text() for each in PdfReader(BytesIO(file.data)).pages)
    assert note.number in panel.outbox.files()[0].read_text(errors="replace")


def test_the_history_names_every_kind_of_money_that_goes_back(visitor: Visitor, panel: Any) -> None:
    topup = panel.ada().topups.list().items[0]
    for act in ("refund", "fail", "dispute", "lose"):
        about = {"fail": "refunds", "lose": "disputes"}.get(act)
        facts = panel.alice().topups.facts(topup.id)
        ids = {"refunds": [each.gateway_refund_id for each in facts.refunds]}
        ids["disputes"] = [each.dispute_id for each in facts.disputes]
        press(visitor, topup, act, ids[about][0] if about else "")

    words = text_of(visitor.be("customer").get("/transactions").text)

    assert "Disputed payment, taken back Credit note TCN26-" in words
    assert "Refund that came back" in words
    assert "Refund Credit note TCN26-" in words
    assert panel.billing.check().ok


def test_a_balance_that_a_dispute_holds_is_explained_in_one_line(visitor: Visitor, panel: Any, bought: Any) -> None:
    assert 'id="set-aside"' not in visitor.get("/").text
    press(visitor, bought, "dispute")

    words = text_of(visitor.be("customer").get("/").text)

    assert "€50.00 of it is set aside while a payment is disputed at its bank; €24.89 716 can be used." in words
    assert "€50.00 of your balance is set aside" in text_of(visitor.get("/refunds").text)


# Markup in what people write


def test_what_a_customer_writes_is_text_on_every_page(visitor: Visitor, panel: Any, bought: Any) -> None:
    sent = ask(visitor, bought.id, "60.00", reason=MARKUP)
    assert sent.status_code == 422
    ask(visitor, bought.id, "20.00", reason=MARKUP)
    asked = panel.ada().refunds.list().items[0]
    pages = [sent.text, visitor.get("/refunds").text]
    visitor.be("operator")
    pages += [visitor.get(url).text for url in ("/operator/refunds", f"/operator/refunds/{asked.id}")]

    for page in pages:
        assert_is_text(page)


def test_what_an_operator_writes_is_text_on_every_page(visitor: Visitor, panel: Any, bought: Any) -> None:
    asked = asked_for(panel, bought.id, "20.00")
    refused = decide(visitor, asked, amount="21.00", reason=MARKUP, note=MARKUP)
    decide(visitor, asked, reason=MARKUP, note=MARKUP)
    wrong = record(visitor, f"topups/{bought.id}", amount="99.00", reference=MARKUP, reason=MARKUP)
    record(visitor, f"topups/{bought.id}", reference="7", reason=MARKUP)
    urls = (f"/operator/refunds/{asked.id}", f"/operator/topups/{bought.id}", "/operator/audit")
    pages = [refused.text, wrong.text, *(visitor.get(url).text for url in urls)]
    pages.append(visitor.be("customer").get("/refunds").text)

    for page in pages:
        assert_is_text(page)


def test_a_note_on_usage_is_text_in_the_history(visitor: Visitor, panel: Any) -> None:
    used = next(each for each in panel.ada().refunds.eligible().items if each.kind == "charge")
    asked = asked_for(panel, used.id, f"{used.credit.amount:f}")
    decide(visitor, asked, note=MARKUP)
    assert_is_text(visitor.be("customer").get("/transactions").text)
