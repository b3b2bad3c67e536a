"""Identity in a real browser: asked before paying, verified elsewhere, back to the top-up; queue and policy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.chromium

MANY_TABS = 60


def become(page: Any, who: str) -> None:
    page.click(f"button:has-text('{who}')")


def set_policy(page: Any, above: str = "") -> None:
    """Ask before the first top-up, or above an amount."""
    become(page, "Operator (Alice)")
    page.goto("/operator/identity/policy")
    if above:
        page.fill("#above", above)
    else:
        page.check("input[name=before_first_topup]")
    page.click("button:has-text('Set it')")
    page.wait_for_selector(".notes:has-text('The policy is set.')")


def test_a_customer_is_guided_to_the_verification_and_back_to_the_topup(visit: Any, money: Any) -> None:
    page = visit("/")
    before = money(page.inner_text("#balance"))
    set_policy(page, above="75")
    become(page, "Customer (Ada)")
    page.goto("/add-funds")
    page.locator("#amount").press_sequentially("35.00", delay=30)
    page.wait_for_selector("button:has-text('Pay €41.65')")
    page.fill("#amount", "50.00")
    page.wait_for_selector("#identity:has-text('to top up more than')")
    assert page.locator("button[value=pay]").count() == 0
    page.click("#summary a:has-text('Verify your identity')")
    page.click("button:has-text('Begin')")
    page.wait_for_url("**/simulated/identity/*")
    page.click("text=It is me")

    assert page.inner_text("#state") == "Verified"
    page.click("text=Go on with your top-up")
    assert page.input_value("#amount") == "50.00"
    page.click("button:has-text('Pay €59.50')")
    page.click("button[value=pay]")

    assert page.inner_text("h1") == "€50.00 added"
    assert money(page.inner_text("#balance")) == before + 50


def test_a_payment_that_waits_is_credited_before_the_eyes_of_its_customer(visit: Any, money: Any) -> None:
    customer, operator = visit("/"), visit("/", expect=(422,))
    before = money(customer.inner_text("#balance"))
    customer.goto("/add-funds?amount=50.00")
    customer.click("button[value=pay]")
    set_policy(operator)
    customer.click("button[value=pay]")
    assert customer.inner_text("h1") == "Verify your identity to get your credit"
    waiting = customer.url
    customer.click("main a:has-text('Verify your identity')")
    customer.click("button:has-text('Begin')")
    customer.click("text=It is looked at later")
    assert customer.inner_text("#state") == "Under way"
    customer.goto(waiting)

    operator.goto("/operator/")
    assert "The customer has to be verified first" in operator.inner_text("section:has(#review-title)")
    operator.click("nav >> text=Identity")
    assert "To be decided" in operator.inner_text("tr[data-customer=ada]")
    operator.click("tr[data-customer=ada] a")
    operator.click("label:has-text('Is verified') >> nth=0")
    operator.click("main button:has-text('Decide')")
    assert operator.is_visible("#reason-error")
    operator.fill("#reason", "passport seen in the office")
    operator.click("main button:has-text('Decide')")
    assert "ada is verified." in operator.inner_text(".notes")

    customer.wait_for_selector("h1:has-text('€50.00 added')")
    assert money(customer.inner_text("#balance")) == before + 50
    operator.click("nav >> text=Dashboard")
    assert "Sound" in operator.inner_text("section:has(#books-title)")
    operator.click("nav >> text=Audit trail")
    assert "passport seen in the office" in operator.inner_text("table")


def test_the_verification_and_the_policy_need_no_script(visit: Any, money: Any) -> None:
    page = visit("/", expect=(422,), java_script_enabled=False)
    become(page, "Operator (Alice)")
    page.click("nav >> text=Identity")
    assert "Nobody has to be verified" in page.inner_text("main")
    page.click("text=Policy and preview")
    page.click("button:has-text('Set it')")
    assert page.is_visible("#above-error")
    page.fill("#above", "35.00")
    page.click("button:has-text('Preview')")
    assert page.inner_text("#preview").startswith("1 of 2 customers")
    assert money(page.inner_text("section:has(#preview-title) td.num")) == Decimal("40.00")
    page.click("button:has-text('Set it')")
    assert "when more than €35.00 is bought" in page.inner_text("main")

    become(page, "Customer (Ada)")
    page.goto("/add-funds?amount=5.00")
    page.click("#summary a:has-text('Verify your identity')")
    page.click("button:has-text('Begin')")
    page.click("text=Unreadable")
    page.click("button:has-text('Go on with it')")
    assert "document unreadable" in page.inner_text("main")
    page.click("button:has-text('Not me')")
    assert page.inner_text("#state") == "Not successful"
    page.click("button:has-text('Begin')")
    page.click("text=It is me")
    assert page.inner_text("#state") == "Verified"

    become(page, "Operator (Alice)")
    page.goto("/operator/identity?state=verified")
    page.click("tr[data-customer=ada] a")
    page.click("label:has-text('take it back')")
    page.fill("#reason", "a doubt")
    page.click("main button:has-text('Decide')")
    assert "has to be verified again" in page.inner_text(".notes")
    page.goto("/operator/identity/policy")
    page.click("text=Ask nobody")
    assert "Nobody has to be verified any more." in page.inner_text(".notes")


@pytest.mark.full
def test_being_verified_needs_no_pointer(visit: Any) -> None:
    page = visit("/identity")
    tab_to(page, "main button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/simulated/identity/*")
    tab_to(page, "button[value=verify]")
    page.keyboard.press("Enter")

    page.wait_for_selector("h1:has-text('Your identity is verified')")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
            return
    raise AssertionError(f"{selector} cannot be reached by the Tab key")
