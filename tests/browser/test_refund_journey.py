"""A refund in a real browser: asked for, approved in part, and its credit note; every new page by axe, light and dark.

Sources: WCAG 2.2, levels A and AA.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tests.engines.axe import faults_of

pytestmark = pytest.mark.chromium

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}


def become(page: Any, who: str) -> None:
    page.click(f"button:has-text('{who}')")


@pytest.fixture
def look() -> Any:
    """Look at a page by axe, light and dark, and whether it fits a phone; faults are told at the end."""
    faults: dict[str, str] = {}

    def at(page: Any, name: str) -> None:
        for scheme, size in (("light", DESK), ("dark", PHONE)):
            page.set_viewport_size(size)
            for kind, fault in faults_of(page, scheme=scheme).items():
                faults[f"{name}, {size['width']}: {kind}"] = fault
        page.set_viewport_size(DESK)

    yield at
    assert faults == {}


def test_a_refund_is_asked_for_approved_in_part_and_documented(
    visit: Any, money: Any, look: Callable[[Any, str], None]
) -> None:
    page = visit("/", expect=(422,))
    before = money(page.inner_text("#balance"))
    page.click("nav >> text=Refunds")
    page.click("tr:has-text('€25.00') >> text=Ask for it")
    assert money(page.inner_text("#cash")) == Decimal("29.61")
    page.fill("#amount", "30")
    page.fill("#reason", "Moved elsewhere")
    page.click("main button.primary")
    assert "Of this 24.89 EUR may be asked back." in page.inner_text("#amount-error")
    look(page, "a request that cannot be")
    page.fill("#amount", "20.00")
    page.dblclick("main button.primary")
    page.wait_for_selector(".notes:has-text('Your request is with us.')")
    assert page.locator("li.request[data-state=requested]").count() == 1
    look(page, "refunds, with a request that waits")

    become(page, "Operator (Alice)")
    page.click("nav >> text=Refunds")
    look(page, "the queue")
    page.click("tr[data-customer=ada] a")
    page.click("button:has-text('Decide')")
    look(page, "a case, with a decision that cannot be")
    page.check("input[value=approve]")
    page.fill("#amount", "12.50")
    page.fill("#reason", "half of the time was used")
    page.fill("#note", "We keep what you used.")
    page.dblclick("button:has-text('Decide')")
    page.wait_for_selector(".notes:has-text('it was given back')")
    assert money(page.inner_text("#approved")) == Decimal("12.50")
    assert page.locator("section:has(#refunds-title) tbody tr").count() == 1
    look(page, "a case that is decided")

    become(page, "Customer (Ada)")
    assert money(page.inner_text("#balance")) == before - Decimal("12.50")
    page.click("nav >> text=Refunds")
    told = page.inner_text("li.request[data-state=refunded] >> nth=0")
    assert "€14.87 (€2.37 of it tax) went back to you." in told
    assert "We keep what you used." in told
    page.click("nav >> text=Invoices")
    look(page, "invoices and credit notes")
    page.click("tbody th a >> nth=0")
    assert "Credit note" in page.inner_text(".page-head")
    assert "Corrects TINV" in page.inner_text("#corrects")
    look(page, "a credit note")
    with page.expect_download() as download:
        page.click("text=Download PDF")
    assert "14.87" in "".join(each.extract_text() for each in PdfReader(BytesIO(_content(download.value))).pages)


def _content(download: Any) -> bytes:
    return Path(download.path()).read_bytes()


def test_a_dispute_holds_the_credit_and_takes_it_when_it_is_lost(
    visit: Any, money: Any, look: Callable[[Any, str], None]
) -> None:
    page = visit("/")
    before = money(page.inner_text("#balance"))
    become(page, "Operator (Alice)")
    page.click("nav >> text=Refunds")
    page.click("text=provider's desk")
    look(page, "the provider's desk")
    page.click("section:has(h2:has-text('€29.75')) >> text=The payer disputes it")
    page.wait_for_selector("section:has(h2:has-text('€29.75')) >> text=disputed")
    page.click("text=Back to Nimbus")
    page.click("main nav >> text=Disputes")
    assert "€24.89" in page.inner_text("tbody tr:has-text('ada')")
    look(page, "disputes")
    page.click("main nav >> text=Rules")
    look(page, "rules")

    become(page, "Customer (Ada)")
    assert "is set aside while a payment is disputed" in page.inner_text("#set-aside")
    assert money(page.inner_text("#balance")) == before
    look(page, "a balance of which a part is held")

    become(page, "Operator (Bob)")
    page.goto("/simulated-desk")
    page.click("section:has(h2:has-text('€29.75')) >> text=The merchant loses")
    page.goto("/operator/disputes?state=lost")
    assert "left the balance" in page.inner_text("tbody tr:has-text('ada')")
    page.click("tbody tr:has-text('ada') a")
    look(page, "a top-up that was disputed")
    become(page, "Customer (Ada)")
    page.click("nav >> text=Transactions")
    assert page.locator("tr[data-kind=dispute]").count() == 1
