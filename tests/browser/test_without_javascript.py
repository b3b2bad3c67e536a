"""The same top-up in a browser that runs no script."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.chromium


def test_a_topup_needs_no_script(visit: Any, money: Any) -> None:
    page = visit("/", java_script_enabled=False)
    before = money(page.inner_text("#balance"))

    page.click("main >> text=Add funds")
    page.fill("#amount", "50.00")
    page.click("button:has-text('Update')")
    assert money(page.inner_text("#total")) == Decimal("59.50")
    page.click("button:has-text('€25')")
    assert money(page.inner_text("#total")) == Decimal("29.75")
    page.click("button:has-text('Pay €29.75')")
    page.click("button[value=pay]")

    assert page.inner_text("h1") == "€25.00 added"
    assert money(page.inner_text("#balance")) == before + 25


def test_a_slow_payment_is_looked_up_by_hand(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00", java_script_enabled=False)
    page.click("button:has-text('Pay €59.50')")
    page.click("button[value=later]")
    assert page.inner_text("h1") == "Waiting for confirmation"
    page.click("text=Check again")
    assert page.inner_text("h1") == "Waiting for confirmation"

    page.click("text=Let the simulated provider decide")
    page.click("button[value=finish]")

    assert page.inner_text("h1") == "€50.00 added"


def test_the_enter_key_updates_and_does_not_pay(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00", java_script_enabled=False)

    page.fill("#amount", "10.00")
    page.press("#amount", "Enter")

    page.wait_for_url("**/add-funds?amount=10.00&gateway=simulated")
    assert page.is_visible("button:has-text('Pay €11.90')")


def test_a_bank_transfer_and_a_decision_need_no_script(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00", java_script_enabled=False)
    page.check("input[value=bank-transfer]")
    page.click("button:has-text('Update')")
    page.click("button:has-text('Pay €59.50 by bank transfer')")
    assert page.inner_text("[data-copy=IBAN]") == "DE89 3704 0044 0532 0130 00"
    assert page.locator("button:has-text('Copy')").count() == 0

    page.click("button:has-text('Operator (Alice)')")
    page.click("text=Look into it")
    page.fill("#received", "60.00")
    page.fill("#reference", "Statement 11, line 4")
    page.click("button:has-text('Confirm the transfer')")
    assert "It differs from the order" in page.inner_text(".notes")
    page.click("label:has-text('Credit what was paid')")
    page.fill("#reason", "fifty cents too much")
    page.click("button:has-text('End the review')")

    assert "What was paid is credited." in page.inner_text(".notes")
