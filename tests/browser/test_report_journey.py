"""An operator's morning in a real browser: the figures, an export to keep, and a digest that tells them daily."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.chromium


def test_the_operator_looks_at_figures_downloads_them_and_sets_the_digest(
    visit: Any, money: Any, tmp_path: Path
) -> None:
    page = visit("/add-funds?amount=50.00", expect=(422,), java_script_enabled=False)
    page.click("button:has-text('Pay €59.50')")
    page.click("button[value=pay]")
    page.click("button:has-text('Operator (Alice)')")
    page.click("text=Today")
    card = page.locator(".figure:has-text('Funds in')")
    funds_in = money(card.locator(".value").inner_text())
    assert funds_in >= Decimal("59.50")
    assert card.locator(".compared").inner_text().endswith("on the day before")

    page.click("main >> text=These figures day by day")
    assert page.get_attribute("nav a:has-text('Reports')", "aria-current") == "page"
    assert money(page.inner_text("tr[data-figure=funds_in] td.second .money")) == funds_in
    assert money(page.inner_text("tr[data-gateway='*'] td.second .money")) == funds_in
    today = page.input_value("#until")
    page.fill("#since", "2199-01-01")
    page.click("button:has-text('Show')")
    assert page.inner_text("#until-error") == "The last day is not before the first."

    page.click("nav >> text=Exports")
    [line] = [row for row in revenue_of(page, today, tmp_path / "revenue.csv") if row["gateway"] == "*"]
    assert (line["day"], Decimal(line["funds_in"])) == (today, funds_in)

    page.click("nav >> text=Daily digest")
    set_digest(page, "cfo@nimbus.example")
    page.click("button:has-text('Preview')")
    look_at_letter(page)
    page.click("button:has-text('Send it')")

    assert "is sent; nobody gets it twice." in page.inner_text(".notes")
    page.click("summary:has-text('Outbox')")
    assert "to cfo@nimbus.example" in page.inner_text(".mails-list li >> nth=0")


def revenue_of(page: Any, day: str, kept_as: Path) -> list[dict[str, str]]:
    """Download the revenue of a day, after a format that is not for it, and read it."""
    page.select_option("#name", "revenue")
    page.select_option("#format", "beancount")
    page.fill("#since", day)
    page.click("button:has-text('Download')")
    assert "one of csv" in page.inner_text("#format-error")
    page.select_option("#format", "csv")
    with page.expect_download() as begun:
        page.click("button:has-text('Download')")
    assert begun.value.suggested_filename == f"revenue-{day}-{day}.csv"
    begun.value.save_as(kept_as)
    with kept_as.open(newline="") as file:
        return list(csv.DictReader(file))


def set_digest(page: Any, address: str) -> None:
    """Switch the digest on, first without an address."""
    page.check("input[name=enabled]")
    page.click("button:has-text('Set it')")
    assert page.is_visible("#email-error")
    page.fill("#email", address)
    page.select_option("#hour", "18")
    page.click("button:has-text('Set it')")
    assert "it goes out every day" in page.inner_text(".notes")
    assert page.input_value("#hour") == "18"


def look_at_letter(page: Any) -> None:
    """Look at the preview: as text, as HTML in its frame, and that by itself."""
    letter = page.frame_locator("iframe.letter")
    assert "TEST" in letter.locator("body").inner_text()
    assert letter.locator("h1").inner_text() in page.inner_text("#text")
    # Its own styles hold, although those of the page around it have to stand in a file.
    assert letter.locator("h1").evaluate("title => getComputedStyle(title).fontSize") == "20px"
    page.click("text=Open it by itself")
    assert "TEST" in page.inner_text("body")
    page.go_back()
