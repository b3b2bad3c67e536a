"""What an operator sees after a customer's payment went well, and after one that did not match."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.chromium


def test_the_operator_sees_what_came_in_and_what_needs_a_look(visit: Any, money: Any) -> None:
    page = visit("/")
    for amount, act in (("50.00", "pay"), ("10.00", "short")):
        page.goto(f"/add-funds?amount={amount}")
        page.click("button[value=pay]")
        page.click(f"button[value={act}]")

    page.click("button:has-text('Operator (Alice)')")
    page.click("text=Today")

    figures = {
        card.locator("h2").inner_text(): money(card.locator(".value").inner_text())
        for card in page.locator(".figure").all()
    }
    assert figures["Funds in"] == Decimal("59.50")
    assert figures["Tax collected"] == Decimal("9.50")
    assert figures["Liability"] > 0
    review = page.locator("section:has(#review-title) tbody tr")
    assert review.count() == 1
    assert "Another amount was paid than ordered" in review.inner_text()
    assert "Sound" in page.inner_text("section:has(#books-title)")

    page.click("text=Look into it")
    page.click("text=Ask again")
    assert "in review" in page.inner_text(".notes")
    page.click("nav >> text=Audit trail")
    assert "amount-differs" in page.inner_text("table")


@pytest.mark.parametrize(
    ("choice", "said", "state", "credit"),
    [
        ("Credit what was paid", "What was paid is credited.", "Credited", "9.99"),
        ("Credit what was ordered", "What was ordered is credited.", "Credited", "10.00"),
        ("Send it back", "The money was sent back.", "Refunded", "0"),
    ],
)
def test_the_operator_ends_a_review_and_the_waiting_customer_notices(
    visit: Any, money: Any, choice: str, said: str, state: str, credit: str
) -> None:
    customer, operator = visit("/"), visit("/", expect=(422,))
    before = money(customer.inner_text("#balance"))
    customer.goto("/add-funds?amount=10.00")
    customer.click("button[value=pay]")
    customer.click("button[value=short]")
    assert customer.inner_text("h1") == "We are looking at your payment"

    operator.click("button:has-text('Operator (Alice)')")
    operator.click("text=Look into it")
    assert (money(operator.inner_text("#ordered")), money(operator.inner_text("#paid"))) == (
        Decimal("11.90"),
        Decimal("11.89"),
    )
    operator.click(f"label:has-text('{choice}')")
    operator.click("button:has-text('End the review')")
    assert operator.is_visible("#reason-error")
    operator.fill("#reason", "agreed with Ada")
    operator.dblclick("button:has-text('End the review')")

    operator.wait_for_selector(f".notes:has-text('{said}')")
    assert operator.inner_text("section:has(#payment-title) .badge") == state
    assert operator.locator("button:has-text('End the review')").count() == 0
    customer.wait_for_selector("h1:not(:has-text('We are looking'))")
    assert ("sent back" in customer.inner_text("h1")) is (state == "Refunded")
    customer.goto("/")
    assert money(customer.inner_text("#balance")) == before + Decimal(credit)
    operator.click("nav >> text=Dashboard")
    assert "Sound" in operator.inner_text("section:has(#books-title)")


def test_a_second_payment_is_found_and_sent_back(visit: Any) -> None:
    page = visit("/add-funds?amount=25.00")
    page.click("button[value=pay]")
    page.click("button[value=twice]")
    assert page.inner_text("h1") == "€25.00 added"

    page.click("button:has-text('Operator (Alice)')")
    assert "A checkout was paid a second time" in page.inner_text("section:has(#review-title)")
    page.click("text=Look into it")
    page.click("label:has-text('Send it back')")
    page.fill("#reason", "paid twice by mistake")
    page.click("button:has-text('End the review')")

    assert "Sent back" in page.inner_text("section:has(#refunds-title)")
    page.click("text=the first top-up")
    assert page.inner_text("section:has(#payment-title) .badge") == "Credited"


def test_a_gateway_that_is_not_offered_cannot_be_chosen_until_it_is_again(visit: Any) -> None:
    page = visit("/")
    page.click("button:has-text('Operator (Alice)')")

    page.click("button:has-text('Stop offering Bank transfer')")
    assert "Not offered" in page.inner_text("section:has(#gateways-title)")
    page.click("button:has-text('Customer (Ada)')")
    page.goto("/add-funds")
    assert page.locator("input[name=gateway]").count() == 1
    page.click("button:has-text('Operator (Alice)')")
    page.click("button:has-text('Offer again Bank transfer')")
    page.click("button:has-text('Customer (Ada)')")
    page.goto("/add-funds")

    assert page.locator("input[name=gateway]").count() == 2
