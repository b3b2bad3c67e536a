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
    assert "amount-differs" in review.inner_text()
    assert "Sound" in page.inner_text("section:has(#books-title)")

    page.click("text=Ask again")
    assert "stays in review" in page.inner_text(".notes")
    page.click("nav >> text=Audit trail")
    assert "amount-differs" in page.inner_text("table")
