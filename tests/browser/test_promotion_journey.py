"""Promotions and vouchers in a real browser: a bonus seen live and received, codes made, refused and redeemed."""

from __future__ import annotations

import csv
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.chromium

MANY_TABS = 60


def become(page: Any, who: str) -> None:
    page.click(f"button:has-text('{who}')")


def type_order(page: Any, amount: str, code: str) -> None:
    """Type an order as a person does, without sending anything."""
    page.goto("/add-funds")
    page.locator("#amount").press_sequentially(amount, delay=30)
    page.click("summary:has-text('Add a code')")
    page.locator("#code").press_sequentially(code, delay=60)


def test_a_bonus_is_seen_live_paid_for_and_received(visit: Any, money: Any) -> None:
    page = visit("/")
    before = money(page.inner_text("#balance"))
    type_order(page, "50.00", "welcome10")
    page.wait_for_selector("#bonus-line:has-text('+€5.00')")
    assert money(page.inner_text("#total")) == Decimal("59.50")
    assert money(page.inner_text("#after")) == before + 55
    assert "Bonus €5.00" in page.inner_text("#spoken")

    page.click("button:has-text('Pay €59.50')")
    assert money(page.inner_text("#charge")) == Decimal("59.50")
    page.click("button[value=pay]")

    assert page.inner_text("h1") == "€55.00 added"
    assert page.inner_text("#promotion") == "With WELCOME10 you got €5.00 of bonus credit."
    assert money(page.inner_text("#balance")) == before + 55
    with page.expect_download() as download:
        page.click("text=Download invoice")
    text = "".join(each.extract_text() for each in PdfReader(BytesIO(_content(download.value))).pages)
    assert "Bonus credit" in text
    page.click("main p a >> nth=0")
    assert "Bonus credit" in page.inner_text("tbody")
    page.click("nav >> text=Transactions")
    assert page.locator("tr[data-kind=bonus]").count() == 1


def _content(download: Any) -> bytes:
    return Path(download.path()).read_bytes()


def test_a_code_that_is_over_is_refused_before_any_payment_and_corrected(visit: Any, money: Any) -> None:
    page = visit("/")
    type_order(page, "50.00", "SUMMER")
    page.wait_for_selector("#code-error:has-text('This code expired on')")
    assert page.get_attribute("#code", "aria-invalid") == "true"
    assert page.is_disabled("button[value=pay]")
    assert page.url.endswith("/add-funds")

    page.fill("#code", "SAVE5")
    page.wait_for_selector("#discount-line:has-text('−€5.00')")

    assert page.is_hidden("#code-error")
    assert money(page.inner_text("#total")) == Decimal("53.55")
    assert page.is_enabled("button:has-text('Pay €53.55')")


@pytest.mark.full
def test_a_code_typed_slowly_is_not_guessed_letter_by_letter(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/quote?" in request.url else None)

    page.click("summary:has-text('Add a code')")
    page.locator("#code").press_sequentially("WELCOME10", delay=350)
    page.wait_for_selector("#bonus-line")

    assert [url.partition("code=")[2] for url in asked] == ["WELCOME10"]


def test_a_code_that_is_not_known_is_asked_about_once_while_the_amount_changes(visit: Any) -> None:
    page = visit("/add-funds?amount=50.00")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "code=NOSUCH" in request.url else None)
    page.click("summary:has-text('Add a code')")
    page.fill("#code", "NOSUCH")
    page.wait_for_selector("#code-error:has-text('not known')")

    page.fill("#amount", "30.00")
    page.wait_for_selector("#total:has-text('€35.70')")

    assert len(asked) == 1
    assert page.is_visible("#code-error")
    assert page.is_disabled("button[value=pay]")
    page.fill("#code", "SAVE5")
    page.wait_for_selector("#discount-line")
    assert page.is_enabled("button[value=pay]")


def test_what_costs_nothing_is_there_at_once(visit: Any, money: Any) -> None:
    page = visit("/")
    before = money(page.inner_text("#balance"))
    type_order(page, "10.00", "FREE10")
    page.wait_for_selector("button:has-text('Get it for free')")
    assert money(page.inner_text("#total")) == 0
    assert "provider" not in page.inner_text("#summary")

    page.click("text=Get it for free")

    assert page.inner_text("h1") == "€10.00 added"
    assert money(page.inner_text("#balance")) == before + 10


def test_the_operator_makes_a_promotion_and_sees_who_used_it(visit: Any, money: Any) -> None:
    page = visit("/", expect=(422,), java_script_enabled=False)
    become(page, "Operator (Alice)")
    page.click("nav >> text=Promotions")
    page.click("text=New promotion")
    page.click("text=Make the promotion")
    assert page.inner_text("#code-error") == "Give the code that customers type."
    page.fill("#code", "AUTUMN")
    page.fill("#percent", "20")
    page.fill("#cap", "8.00")
    page.fill("#budget", "100")
    page.fill("#reason", "A calm season")
    page.click("text=Make the promotion")
    assert "AUTUMN is made." in page.inner_text(".notes")
    assert page.get_attribute("nav a:has-text('Promotions')", "aria-current") == "true"

    become(page, "Customer (Ada)")
    page.goto("/add-funds?amount=50.00&code=autumn")
    assert money(page.inner_text("#bonus-line dd")) == Decimal("8.00")
    page.click("button[value=pay]")
    page.click("button[value=pay]")
    assert page.inner_text("h1") == "€58.00 added"

    become(page, "Operator (Alice)")
    page.click("nav >> text=Promotions")
    assert "€92.00" in page.inner_text("tr[data-code=AUTUMN]")
    page.click("tr[data-code=AUTUMN] a")
    assert page.inner_text("#redeemed") == "1"
    assert "Redeemed" in page.inner_text("section:has(#redemptions-title)")
    page.click("section:has(#redemptions-title) a")
    assert "€50.00 of credit" in page.inner_text("h1")
    page.click("dd a:has-text('AUTUMN')")
    page.click("text=Change it")
    page.fill("#uses_total", "1")
    page.click("main >> button:has-text('Change it')")
    assert "Used up" in page.inner_text("section:has(#rule-title)")
    page.click("text=End the promotion")
    assert page.is_visible("#reason-error")
    page.fill("#reason", "Winter is here")
    page.click("text=End the promotion")

    assert "AUTUMN has ended." in page.inner_text(".notes")
    assert "Ended" in page.inner_text("section:has(#rule-title)")
    page.click("nav >> text=Audit trail")
    assert "Winter is here" in page.inner_text("table")


def test_vouchers_are_made_kept_redeemed_and_ended(visit: Any, money: Any) -> None:
    page = visit("/", expect=(422,), permissions=["clipboard-read", "clipboard-write"])
    before = money(page.inner_text("#balance"))
    become(page, "Operator (Alice)")
    page.click("nav >> text=Promotions")
    page.click("main nav >> text=Vouchers")
    page.click("text=New vouchers")
    page.click("text=Make them")
    assert page.inner_text("#amount-error") == "Give the amount."
    page.fill("#amount", "7.50")
    page.fill("#count", "3")
    page.click("text=Make them")
    codes = page.inner_text("#codes").split("\n")
    page.click("button[aria-label='Copy codes']")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(codes)
    with page.expect_download() as download:
        page.click("text=Download as CSV")
    rows = list(csv.DictReader(_content(download.value).decode().splitlines()))
    assert [(row["code"], row["amount"]) for row in rows] == [(code, "7.50") for code in codes]

    become(page, "Customer (Ada)")
    page.fill("#voucher", "NOT-A-CODE")
    page.press("#voucher", "Enter")
    page.wait_for_selector("#voucher-error:has-text('not known')")
    page.fill("#voucher", codes[0].lower())
    page.press("#voucher", "Enter")
    page.wait_for_selector(".notes:has-text('The €7.50 of this voucher are on your balance.')")
    assert money(page.inner_text("#balance")) == before + Decimal("7.50")
    assert page.inner_text("tr[data-kind=voucher] .first") == f"Voucher …{codes[0][-2:]}"

    become(page, "Operator (Alice)")
    page.goto("/operator/vouchers")
    assert "ada" in page.inner_text("tr[data-state=redeemed]:has-text('ada')")
    page.click("tr[data-state=redeemed]:has-text('ada') a")
    page.fill("#reason", "a trial")
    page.click("text=End them")
    assert "2 vouchers ended." in page.inner_text(".notes")
    assert page.locator("tr[data-state=ended]").count() == 2


@pytest.mark.full
def test_making_a_promotion_and_redeeming_need_no_pointer(visit: Any) -> None:
    page = visit("/")
    code = page.inner_text("form:has(#voucher) .code-like")
    tab_to(page, "#voucher")
    page.keyboard.type(code)
    tab_to(page, "form:has(#voucher) button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".notes:has-text('€15.00')")

    become(page, "Operator (Alice)")
    page.goto("/operator/new-promotion")
    tab_to(page, "#code")
    page.keyboard.type("KEYS")
    tab_to(page, "input[name=gives]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#percent")
    page.keyboard.type("5")
    tab_to(page, "input[name=first_topup_only]")
    page.keyboard.press("Space")
    tab_to(page, "main button.primary")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:has-text('5 % off')")
    assert "Only for the first top-up" in page.inner_text("section:has(#rule-title)")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            # Of a choice the whole option is outlined.
            shown = "document.activeElement.closest('.option') || document.activeElement"
            assert page.evaluate(f"parseFloat(getComputedStyle({shown}).outlineWidth)") >= 2
            return
    raise AssertionError(f"{selector} cannot be reached by the Tab key")
