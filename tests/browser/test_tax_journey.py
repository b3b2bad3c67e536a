"""Tax in a real browser: a business proves its tax id, a register that is down, an operator who tries and reports."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.chromium

MANY_TABS = 60


def save_tax_id(page: Any, number: str, country: str) -> None:
    page.goto("/tax-profile")
    page.click("label:has-text('A business')")
    page.fill("#company", "Ada SARL")
    page.fill("#tax_id", number)
    page.select_option("#country", country)
    page.click("button:has-text('Save tax profile')")


def badge(page: Any) -> str:
    return str(page.inner_text("section:has(#tax-id-title) .badge"))


def become(page: Any, who: str) -> None:
    page.click(f"button:has-text('{who}')")


def test_a_business_abroad_proves_its_tax_id_and_pays_no_tax(visit: Any, money: Any) -> None:
    page = visit("/tax-profile")
    save_tax_id(page, "FR12", "FR")
    assert badge(page) == "Wrong form"
    assert page.get_attribute("#tax_id", "aria-invalid") == "true"
    page.goto("/add-funds?amount=50.00")
    assert money(page.inner_text("#total")) == Decimal("60.00")
    page.click("text=Look at your tax id")

    save_tax_id(page, "FR40303265045", "FR")
    assert badge(page).startswith("Verified on ")
    page.goto("/add-funds")
    page.locator("#amount").press_sequentially("50.00", delay=30)
    page.wait_for_selector("#total:has-text('€50.00')")
    assert page.inner_text("#tax-line").split("\n")[:2] == ["Tax", "Reverse charge"]
    assert page.locator("text=Look at your tax id").count() == 0
    page.click("button[value=pay]")
    page.click("button[value=pay]")
    page.click("main p a >> nth=0")

    assert "Reverse charge" in page.inner_text("tfoot")


def test_tax_charged_while_a_register_was_down_is_offered_back_and_closed(visit: Any, money: Any) -> None:
    page = visit("/tax-profile", expect=(422,))
    save_tax_id(page, "ATU13585627", "AT")
    assert badge(page) == "Register does not answer"
    page.click("text=Check again")
    assert "register does not answer" in page.inner_text(".notes")
    page.goto("/add-funds?amount=50.00")
    assert money(page.inner_text("#tax-line dd")) == Decimal("10.00")
    page.click("button[value=pay]")
    page.click("button[value=pay]")

    page.click("text=Advance 3 hours")
    page.click("nav >> text=Tax profile")
    assert badge(page).startswith("Verified on ")
    become(page, "Operator (Alice)")
    page.click("nav >> text=Tax report")
    assert "the tax id turned out to be valid" in page.inner_text("section:has(#corrections-title)")
    page.click("text=Close the correction")
    assert page.is_visible(".correction .error")
    page.fill(".correction input[name=reason]", "Tax sent back by hand")
    page.click("text=Close the correction")

    assert "The correction is closed." in page.inner_text(".notes")
    assert page.locator(".correction").count() == 0


def test_the_operator_adds_a_rule_tries_it_and_takes_it_out_of_use(visit: Any, money: Any) -> None:
    page = visit("/", expect=(422,), java_script_enabled=False)
    become(page, "Operator (Alice)")
    page.click("nav >> text=Tax rules")
    page.select_option("#country", "IT")
    page.fill("#name", "IVA")
    page.fill("#percent", "220")
    page.fill("#valid_from", "2014-01-01")
    page.click("button:has-text('Add the rule')")
    assert page.is_visible("#percent-error")
    assert page.get_attribute("nav a:has-text('Tax rules')", "aria-current") == "true"
    page.fill("#percent", "22")
    page.fill("#source", "DPR 633/1972 art. 16")
    page.click("button:has-text('Add the rule')")
    assert "The rule of Italy is added." in page.inner_text(".notes")

    page.click("text=Try them")
    page.select_option("#country", "IT")
    page.click("button:has-text('Try')")
    assert money(page.inner_text("#total")) == Decimal("61.00")
    page.click("nav >> text=Tax rules")
    page.click("tr:has-text('Italy') a")
    page.click("text=Keep it")
    assert page.locator("tr:has-text('Italy')").count() == 1
    page.click("tr:has-text('Italy') a")
    page.click("text=Take it out of use")

    assert "The rule of Italy is out of use." in page.inner_text(".notes")
    assert page.locator("tr:has-text('Italy')").count() == 0


def test_a_tax_id_and_the_try_out_need_no_pointer(visit: Any) -> None:
    page = visit("/tax-profile")
    tab_to(page, "input[name=kind]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#company")
    page.keyboard.type("Ada SARL")
    tab_to(page, "#tax_id")
    page.keyboard.type("FR23334175221")
    tab_to(page, "#country")
    page.keyboard.type("France")
    tab_to(page, "button.primary")
    page.keyboard.press("Enter")
    page.wait_for_selector("section:has(#tax-id-title) .badge:has-text('Not valid')")
    tab_to(page, "section:has(#tax-id-title) button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".notes:has-text('not valid')")

    become(page, "Operator (Alice)")
    page.goto("/operator/tax-rules/try")
    tab_to(page, "#country")
    page.keyboard.type("Austria")
    tab_to(page, "main button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#total:has-text('€60.00')")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            # Of a radio button the whole option is outlined.
            shown = "document.activeElement.closest('.option') || document.activeElement"
            assert page.evaluate(f"parseFloat(getComputedStyle({shown}).outlineWidth)") >= 2
            return
    raise AssertionError(f"{selector} cannot be reached by the Tab key")
