"""Every page by axe at a desk in light and dark, on a phone in dark, and a top-up by keyboard alone.

Sources: WCAG 2.2, levels A and AA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engines.axe import COLOURS, EVERYTHING, faults_of

pytestmark = pytest.mark.chromium

PHONE = {"width": 390, "height": 844}
# How wide the window is, and what axe is asked in which colour scheme.
LOOKS = {
    "desk": ({}, {"light": EVERYTHING, "dark": COLOURS}),
    "phone": ({"viewport": PHONE}, {"dark": EVERYTHING}),
}
MANY_TABS = 60
TRIAL = (
    "/operator/tax-rules/try?country=FR&kind=business&tax_id=FR40303265045&state=unavailable&amount=50&day=2026-11-22"
)


def _pay(act: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/add-funds?amount=50.00")
        page.click("button[value=pay]")
        if act:
            page.click(f"button[value={act}]")

    return steps


def _transfer(page: Any) -> None:
    page.goto("/add-funds?amount=50.00&gateway=bank-transfer")
    page.click("button[value=pay]")


def _operator(kind: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/operator/")
        page.click(f"section:has(#{kind}-title) >> text=Look into it >> nth=0")

    return steps


def _decide(reason: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.check("input[value=refund]")
        page.fill("#reason", reason)
        page.click("button:has-text('End the review')")

    return steps


def _become_customer(page: Any) -> None:
    """Go to the top-up that the operator looks at, as its customer."""
    topup = page.url.rsplit("/", 1)[1]
    page.click("button:has-text('Customer (Ada)')")
    page.goto(f"/add-funds/back?topup={topup}")


def _become_operator(page: Any) -> None:
    page.goto("/identity")
    page.click("button:has-text('Operator (Alice)')")


def _wrong_profile(page: Any) -> None:
    page.goto("/tax-profile")
    page.check("input[value=business]")
    page.click("button:has-text('Save')")


def _tax_id(number: str, country: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/tax-profile")
        page.check("input[value=business]")
        page.fill("#company", "Ada SARL")
        page.fill("#tax_id", number)
        page.select_option("#country", country)
        page.click("button:has-text('Save')")

    return steps


def _act(url: str, button: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto(url)
        page.click(f"main >> {button} >> nth=0")

    return steps


def _voucher(page: Any) -> None:
    page.goto("/")
    page.fill("#voucher", "NOT-A-CODE")
    page.click("button:has-text('Redeem')")


def _vouchers(page: Any) -> None:
    page.goto("/operator/new-vouchers")
    page.fill("#amount", "5")
    page.fill("#count", "12")
    page.click("button:has-text('Make them')")


def _digest(email: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/operator/digest")
        page.check("input[name=enabled]")
        page.fill("#email", email)
        page.click("button:has-text('Set it')")

    return steps


def _with_code(act: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/add-funds?amount=50.00&code=SAVE5")
        page.click("button[value=pay]")
        page.click(f"button[value={act}]")

    return steps


def _policy(act: str, above: str = "") -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        _become_operator(page)
        page.goto("/operator/identity/policy")
        page.fill("#above", above)
        if act:
            page.click(f"button[value={act}]")

    return steps


def _as_customer(url: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.click("button:has-text('Customer (Ada)')")
        page.goto(url)

    return steps


def _identify(act: str) -> Callable[[Any], None]:
    def steps(page: Any) -> None:
        page.goto("/identity")
        page.click("main button.primary")
        page.click(f"button[value={act}]")

    return steps


def _queue(page: Any) -> None:
    _become_operator(page)
    page.goto("/operator/identity")


def _approved(page: Any) -> None:
    page.check("input[value=approve]")
    page.fill("#reason", "seen in the office")
    page.click("main button.primary")
    _as_customer("/identity")(page)


def _first_invoice(page: Any) -> None:
    page.goto("/invoices")
    page.click("tbody th a >> nth=0")


# In this order: the last ones need what happened before.
PAGES: dict[str, Callable[[Any], Any]] = {
    "overview": lambda page: page.goto("/"),
    "overview with the outbox open": lambda page: page.click("summary:has-text('Outbox')"),
    "overview after a step in time": lambda page: page.click("text=Advance 1 hour"),
    "empty form": lambda page: page.goto("/add-funds"),
    "summary": lambda page: page.goto("/add-funds?amount=50.00"),
    "wrong amount": lambda page: page.goto("/add-funds?amount=fifty"),
    "refused code": lambda page: page.goto("/add-funds?amount=50.00&code=WELCOME"),
    "bonus": lambda page: page.goto("/add-funds?amount=50.00&code=WELCOME10"),
    "nothing to pay": lambda page: page.goto("/add-funds?amount=10.00&code=FREE10"),
    "refused voucher": _voucher,
    "reserved code": _with_code("cancel"),
    "redeemed code": _with_code("pay"),
    "provider": _pay(""),
    "credited": _pay("pay"),
    "processing": _pay("later"),
    "left": _pay("cancel"),
    "declined": _pay("decline"),
    "in review": _pay("short"),
    "paid twice": _pay("twice"),
    "choice of the bank transfer": lambda page: page.goto("/add-funds?amount=50.00&gateway=bank-transfer"),
    "transfer": _transfer,
    "transfer that was copied": lambda page: page.click("button[aria-label='Copy IBAN']"),
    "overview with top-ups under way": lambda page: page.goto("/"),
    "transactions": lambda page: page.goto("/transactions"),
    "nothing of a kind": lambda page: page.goto("/transactions?kind=bonus"),
    "invoices": lambda page: page.goto("/invoices"),
    "invoice": _first_invoice,
    "tax profile": lambda page: page.goto("/tax-profile"),
    "wrong tax profile": _wrong_profile,
    "tax id of the wrong form": _tax_id("FR12", "FR"),
    "tax id that is not valid": _tax_id("FR23334175221", "FR"),
    "tax id that is valid": _tax_id("FR40303265045", "FR"),
    "summary with reverse charge": lambda page: page.goto("/add-funds?amount=50.00"),
    "tax id whose register is down": _tax_id("ATU13585627", "AT"),
    "summary with a tax id that is not verified": lambda page: page.goto("/add-funds?amount=50.00"),
    "credited meanwhile": _pay("pay"),
    "register that answers again": lambda page: page.click("text=Advance 3 hours"),
    "not found": lambda page: page.goto("/invoices/none"),
    "not for this role": lambda page: page.goto("/operator/"),
    "dashboard": _become_operator,
    "dashboard with a gateway not offered": lambda page: page.click("text=Stop offering >> nth=1"),
    "reports": lambda page: page.click("nav >> text=Reports"),
    "reports of no days": lambda page: page.goto("/operator/reports?since=2026-02-01&until=2026-01-01"),
    "reports of a day on which nothing moved": lambda page: page.goto(
        "/operator/reports?since=2026-01-01&until=2026-01-01"
    ),
    "exports": lambda page: page.goto("/operator/exports"),
    "export that cannot be": lambda page: page.goto(
        "/operator/exports/file?name=tax&format=csv&since=2026-02-01&until=2026-01-01"
    ),
    "digest": lambda page: page.goto("/operator/digest"),
    "digest that cannot be": _digest("nobody"),
    "preview of a digest that is switched off": lambda page: page.goto("/operator/digest/preview"),
    "digest that is set": _digest("cfo@nimbus.example, ceo@nimbus.example"),
    "digest of a day that has not ended": lambda page: page.goto("/operator/digest/preview?day=2199-01-01"),
    "preview of a digest": lambda page: page.goto("/operator/digest/preview"),
    "tax rules": lambda page: page.goto("/operator/tax-rules"),
    "tax rule that cannot be": _act("/operator/tax-rules", "button:has-text('Add the rule')"),
    "end of a tax rule": _act("/operator/tax-rules", "td a"),
    "end of a tax rule without a day": lambda page: page.click("text=End it on that day"),
    "try-out": lambda page: page.goto("/operator/tax-rules/try"),
    "try-out of nobody": _act("/operator/tax-rules/try", "button:has-text('Try')"),
    "try-out with a decision and a warning": lambda page: page.goto(TRIAL),
    "tax report with a correction": lambda page: page.goto("/operator/tax-report"),
    "correction without a reason": lambda page: page.click("text=Close the correction"),
    "tax report of no days": lambda page: page.goto("/operator/tax-report?since=2026-02-01&until=2026-01-01"),
    "promotions": lambda page: page.goto("/operator/promotions"),
    "promotion": lambda page: page.goto("/operator/promotion?code=SAVE5"),
    "end of a promotion without a reason": lambda page: page.click("text=End the promotion"),
    "new promotion": lambda page: page.goto("/operator/new-promotion"),
    "promotion that cannot be": lambda page: page.click("text=Make the promotion"),
    "change of a promotion": lambda page: page.goto("/operator/promotion/change?code=WELCOME10"),
    "vouchers": lambda page: page.goto("/operator/vouchers"),
    "new vouchers": lambda page: page.goto("/operator/new-vouchers"),
    "vouchers that cannot be": lambda page: page.click("text=Make them"),
    "vouchers that were made": _vouchers,
    "batch": lambda page: page.click("text=See the batch"),
    "end of a batch without a reason": lambda page: page.click("text=End them"),
    "transfer to confirm": _operator("transfers"),
    "transfer that cannot be": lambda page: page.click("button:has-text('Confirm the transfer')"),
    "review": _operator("review"),
    "review without a choice": lambda page: page.click("button:has-text('End the review')"),
    "review without a reason": _decide(""),
    "review that ended": _decide(
        "A long reason, as people write it when they explain why money goes back to a customer"
    ),
    "audit trail": lambda page: page.goto("/operator/audit"),
    "second payment": _operator("review"),
    "refund": _decide("paid twice"),
    "refunded": _become_customer,
    "identity that nobody asks for": lambda page: page.goto("/identity"),
    "policy": _policy(""),
    "policy that cannot be": _policy("set"),
    "preview of a policy": _policy("preview", "0"),
    "queue with a policy": _policy("set", "0"),
    "customer without a case": lambda page: page.goto("/operator/identity/of?customer=ada"),
    "decision without a choice": lambda page: page.click("main button.primary"),
    "summary that asks for an identity": _as_customer("/add-funds?amount=50.00"),
    "identity": lambda page: page.click("#summary a:has-text('Verify your identity')"),
    "identity provider": lambda page: page.click("main button.primary"),
    "identity provider that asks again": lambda page: page.click("button[value=again]"),
    "identity under way": lambda page: page.goto("/identity"),
    "identity that was rejected": _identify("reject"),
    "identity that is looked at": _identify("later"),
    "queue": _queue,
    "customer with a case": lambda page: page.click("tbody a"),
    "identity that is verified": _approved,
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits(visit: Any, look: str) -> None:
    window, questions = LOOKS[look]
    faults = {}
    page = visit("/", expect=(403, 404, 422), permissions=["clipboard-write"], **window)
    for name, steps in PAGES.items():
        steps(page)
        for scheme, rules in questions.items():
            faults |= {f"{name}: {kind}": fault for kind, fault in faults_of(page, scheme=scheme, rules=rules).items()}

    assert faults == {}


def test_a_fault_that_shows_in_one_colour_scheme_is_seen(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(
        "<!doctype html><html lang=en><title>Faint</title><style>:root { color-scheme: light dark }"
        "@media (prefers-color-scheme: dark) { p { color: #222; background: #000 } }</style>"
        "<main><h1>Faint</h1><p>In the dark</p><p style='width: 200vw'>Wide</p></main></html>"
    )

    assert list(faults_of(page, scheme="light")) == ["width"]
    assert list(faults_of(page, scheme="dark", rules=COLOURS)) == ["dark", "width"]
    page.close()


def test_a_topup_needs_no_pointer(visit: Any) -> None:
    page = visit("/")
    _tab_to(page, "main a.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/add-funds")
    _tab_to(page, "#amount")
    page.keyboard.type("50.00")
    page.wait_for_selector("button[value=pay]:enabled")
    _tab_to(page, "button[value=pay]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/simulated/*")
    _tab_to(page, "button[value=pay]")
    page.keyboard.press("Enter")

    page.wait_for_selector("h1:has-text('€50.00 added')")


def _tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MANY_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
            return
    raise AssertionError(f"{selector} cannot be reached by the Tab key")


def test_the_first_tab_offers_to_skip_to_the_content(visit: Any) -> None:
    page = visit("/")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"
