"""What a customer does, from the first visit to three hours later, in a real browser."""

from __future__ import annotations

import time
from collections import Counter
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.chromium

LATE_S = 4.5
"""Longer than the page's script lets pass between two questions, twice."""

HOURS = 3


def test_a_customer_tops_up_and_three_hours_later_has_paid_exactly_three_hours(visit: Any, money: Any) -> None:
    page = visit("/")
    seeded = money(page.inner_text("#balance"))
    rates = {
        row.get_attribute("data-meter"): money(row.locator("td").last.inner_text())
        for row in page.locator("tr[data-meter]").all()
    }

    # The summary follows what is typed, before anything is sent.
    page.click("text=Add funds >> nth=0")
    page.locator("#amount").press_sequentially("50.00", delay=30)
    page.wait_for_selector("#total:has-text('€59.50')")
    assert page.inner_text("#tax-line").split("\n")[0] == "VAT 19 %"
    assert money(page.inner_text("#tax-line dd")) == Decimal("9.50")
    assert money(page.inner_text("#after")) == seeded + 50
    assert page.inner_text("#spoken").startswith("Total to pay €59.50")

    # The provider is asked for the total that was shown.
    page.click("button:has-text('Pay €59.50')")
    assert money(page.inner_text("#charge")) == Decimal("59.50")
    page.click("button[value=pay]")
    assert page.inner_text("h1") == "€50.00 added"
    credited = money(page.inner_text("#balance"))
    assert credited == seeded + 50

    number = page.inner_text("main p a").strip()
    with page.expect_download() as download:
        page.click("text=Download invoice")
    _check_invoice(download.value, number)

    page.click(f"button:has-text('Advance {HOURS} hours')")
    assert f"{HOURS * len(rates)} hourly charges posted" in page.inner_text(".notes")
    later = money(page.inner_text("#balance"))

    charges = _charges_since_topup(page, money)
    assert Counter(resource for resource, _ in charges) == dict.fromkeys(rates, HOURS)
    assert all(amount == -rates[resource] for resource, amount in charges)
    assert credited - later == -sum(amount for _, amount in charges)
    assert credited - later == HOURS * sum(rates.values()) > 0


def _check_invoice(download: Any, number: str) -> None:
    content = Path(download.path()).read_bytes()
    assert download.suggested_filename == f"{number}.pdf"
    assert content.startswith(b"%PDF")
    text = "".join(sheet.extract_text() for sheet in PdfReader(BytesIO(content)).pages)
    assert number in text
    assert "59.50" in text


def _charges_since_topup(page: Any, money: Any) -> list[tuple[str, Decimal]]:
    """Read the history down to the newest top-up."""
    page.click("nav >> text=Transactions")
    charges = []
    for row in page.locator("table.history tbody tr").all():
        if row.get_attribute("data-kind") == "topup":
            return charges
        charges.append((row.get_attribute("data-resource"), money(row.locator(".amount").inner_text())))
    raise AssertionError("the newest top-up is not on the first page")


def test_a_waiting_payment_is_noticed_by_itself(visit: Any) -> None:
    page = visit("/add-funds?amount=25.00")
    page.click("button:has-text('Pay €29.75')")
    page.click("button[value=later]")
    assert page.inner_text("h1") == "Waiting for confirmation"

    provider = page.context.new_page()
    provider.goto(page.get_attribute(".demo-hint a", "href"))
    provider.click("button[value=finish]")

    page.wait_for_selector("h1:has-text('€25.00 added')")


def test_a_page_that_is_being_left_asks_no_more(visit: Any) -> None:
    """The answer that ends the right to ask is slow: the browser has its cookie, and the old page is still there."""
    page = visit("/add-funds?amount=25.00")
    page.click("button:has-text('Pay €29.75')")
    page.click("button[value=later]")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    page.wait_for_event("request")  # it waits, and asks

    def answer_late(route: Any) -> None:
        answer = route.fetch(max_redirects=0)
        time.sleep(LATE_S)
        route.fulfill(response=answer)

    page.route("**/role", answer_late)
    known = len(asked)
    page.click("button:has-text('Operator (Alice)')")

    assert page.inner_text("h1") == "Dashboard"
    assert len(asked) == known


def test_a_summary_that_is_being_changed_cannot_be_paid(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00")
    page.route("**/add-funds/quote*", lambda route: None)

    page.fill("#amount", "500.00")

    assert page.is_disabled("button:has-text('Pay €59.50')")


def test_the_enter_key_in_the_amount_never_pays(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00")

    page.fill("#amount", "10.00")
    page.press("#amount", "Enter")

    page.wait_for_selector("button:has-text('Pay €11.90')")
    assert page.url.endswith("/add-funds?amount=50.00")


def test_errors_come_and_go_while_typing(visit: Any) -> None:
    page = visit("/add-funds")

    page.fill("#amount", "fifty")
    page.wait_for_selector("#amount-error:not([hidden])")
    assert page.get_attribute("#amount", "aria-invalid") == "true"
    page.fill("#amount", "50.00")
    page.wait_for_selector("#amount-error", state="hidden")
    assert page.get_attribute("#amount", "aria-invalid") is None
    page.click("text=Add a code")
    page.fill("#code", "WELCOME")
    page.wait_for_selector("#code-error:not([hidden])")

    assert page.is_disabled("button[value=pay]")


def test_a_customer_pays_by_bank_transfer_and_notices_when_it_is_confirmed(visit: Any, money: Any) -> None:
    page = visit("/", permissions=["clipboard-read", "clipboard-write"])
    before = money(page.inner_text("#balance"))
    page.goto("/add-funds?amount=50.00")
    page.click("label:has-text('Bank transfer')")
    page.click("button:has-text('Pay €59.50 by bank transfer')")
    assert page.inner_text("h1") == "Transfer €59.50 to us"
    reference = page.inner_text("[data-copy=Reference]")
    page.click("button[aria-label='Copy Reference']")
    page.wait_for_selector("#copied:has-text('Reference copied')")
    assert page.evaluate("navigator.clipboard.readText()") == reference

    bank = visit("/")
    bank.click("button:has-text('Operator (Alice)')")
    bank.click(f"tr:has-text('{reference}') >> text=Look into it")
    assert bank.input_value("#received") == "59.50"
    bank.fill("#reference", "Statement 11, line 4")
    bank.dblclick("button:has-text('Confirm the transfer')")
    bank.wait_for_selector(".notes:has-text('€59.50 confirmed. The credit is there.')")

    page.wait_for_selector("h1:has-text('€50.00 added')")
    assert money(page.inner_text("#balance")) == before + 50
