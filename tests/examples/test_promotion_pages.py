"""The example's promotions: what customers read of a code, and what operators make, change and end."""

from __future__ import annotations

import html
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prepaid import Bonus, Discount, Fixed, Money, Percent, Promotion, Tiers
from tests.examples.visiting import TOPUPS, Visitor, error_at, hidden, money_in

PROMOTION = {"code": "SPRING", "gives": "bonus", "percent": "10", "timezone": "Europe/Berlin", "reason": "spring"}
EUR = "EUR"


def eur(amount: str) -> Money:
    return Money.of(amount, EUR)


def summary(visitor: Visitor, amount: str, code: str, *, gateway: str = "simulated") -> str:
    return str(visitor.get(f"/add-funds?amount={amount}&gateway={gateway}&code={code}").text)


def begin(visitor: Visitor, amount: str, code: str) -> Any:
    """Press the button of the summary."""
    fields = {"amount": amount, "gateway": "simulated", "code": code, "act": "pay"}
    return visitor.post("/add-funds", follow=False, **fields, **hidden(summary(visitor, amount, code)))


def pay(visitor: Visitor, amount: str, code: str, act: str = "pay") -> str:
    return str(visitor.post(begin(visitor, amount, code).location, act=act).text)


def promotion_line(page: str) -> str:
    found = re.search(r'<p id="promotion"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", found.group(1))).strip()


def button(page: str) -> str:
    found = re.search(r'<button class="primary wide" name="act" value="pay" ?(disabled)?>([^<]+)</button>', page)
    assert found is not None
    return found.group(2) + (" (disabled)" if found.group(1) else "")


# The customer


def test_the_summary_shows_a_bonus_its_code_and_the_balance_with_it(visitor: Visitor, panel: Any) -> None:
    page = summary(visitor, "50.00", "WELCOME10")

    assert money_in(page, 'id="bonus-line"') == Decimal("5.00")
    assert "with WELCOME10" in page
    assert "Promotional discount" not in page
    assert money_in(page, "Total to pay") == Decimal("59.50")
    assert money_in(page, "Balance afterwards") == (panel.ada().balance().settled + eur("55.00")).amount
    assert "Bonus €5.00." in page


def test_the_summary_shows_bonus_and_discount_of_one_code_both(visitor: Visitor, panel: Any) -> None:
    both = (Bonus(Percent("10")), Discount(Fixed(eur("5.00"))))
    panel.alice().promotions.create(Promotion("BOTH", both))

    page = summary(visitor, "50.00", "BOTH")

    assert money_in(page, 'id="bonus-line"') == Decimal("5.00")
    assert money_in(page, 'id="discount-line"') == Decimal("-5.00")
    assert money_in(page, "Total to pay") == Decimal("53.55")


@pytest.mark.parametrize(
    ("code", "amount", "said"),
    [
        ("SUMMER", "50.00", "This code expired on"),
        ("NOSUCH", "50.00", "not known"),
        ("<b>", "50.00", "not known"),
        ("SAVE5", "19.99", "The smallest amount for this code is"),
        ("SOON", "50.00", "This code can be used from"),
        ("GONE", "50.00", "This code is used up."),
        ("ENDED", "50.00", "This code can be used no more."),
    ],
)
def test_a_refused_code_is_told_beside_its_field_live_and_on_the_page(
    visitor: Visitor, panel: Any, code: str, amount: str, said: str
) -> None:
    make = panel.alice().promotions.create
    make(Promotion("SOON", Bonus(Percent("10")), valid_from=panel.today() + timedelta(days=2)))
    make(Promotion("GONE", Bonus(Percent("10")), budget=eur("0.01")))
    make(Promotion("ENDED", Bonus(Percent("10"))))
    panel.alice().promotions.end("ENDED", reason="over")

    page = summary(visitor, amount, code)
    live = visitor.get(f"/add-funds/quote?amount={amount}&code={code}").json

    assert said in error_at(page, "code")
    assert said in live["errors"]["code"]
    assert button(page).endswith("(disabled)")
    assert 'value="pay" disabled' in live["summary"]
    assert "<b>" not in page


def test_too_many_codes_in_vain_are_told_beside_the_field_with_the_time(visitor: Visitor, panel: Any) -> None:
    for number in range(10):
        summary(visitor, "50.00", f"GUESS{number}")

    page = summary(visitor, "50.00", "WELCOME10")
    panel.clock.advance(hours=1)

    assert re.fullmatch(r"Too many codes were tried\. Try again after \d\d:\d\d\.", error_at(page, "code"))
    assert money_in(page, "Total to pay") == Decimal("59.50")
    assert money_in(summary(visitor, "50.00", "WELCOME10"), 'id="bonus-line"') == Decimal("5.00")


def test_what_becomes_of_a_code_is_told_from_start_to_credit(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    left = pay(visitor, "50.00", "WELCOME10", act="cancel")
    reserved = promotion_line(left)
    checkout = re.search(r'href="(/simulated/[^"]+)"', left)
    assert checkout is not None

    page = visitor.post(checkout.group(1), act="pay").text

    assert reserved == "WELCOME10 is reserved for this top-up: €5.00 of bonus credit comes with it."
    assert "€55.00 added" in page
    assert promotion_line(page) == "With WELCOME10 you got €5.00 of bonus credit."
    assert panel.ada().balance().settled == before + eur("55.00")
    assert 'data-kind="bonus"' in visitor.get("/transactions").text
    number = panel.ada().invoices.list().items[0].number
    assert "Bonus credit" in visitor.get(f"/invoices/{number}").text
    assert "already used" in error_at(summary(visitor, "50.00", "WELCOME10"), "code")


def test_a_topup_that_is_given_up_gives_its_code_back(visitor: Visitor) -> None:
    left = pay(visitor, "50.00", "WELCOME10", act="cancel")
    cancel = re.search(r'action="(/topups/[^"]+/cancel)"', left)
    assert cancel is not None

    page = visitor.post(cancel.group(1)).text

    assert promotion_line(page) == "WELCOME10 was not used up by it."
    assert money_in(summary(visitor, "50.00", "WELCOME10"), 'id="bonus-line"') == Decimal("5.00")


def test_a_payment_that_comes_too_late_for_its_code_says_so(visitor: Visitor, panel: Any) -> None:
    panel.alice().promotions.create(Promotion("LAST", Bonus(Percent("10")), uses_total=1))
    checkout = begin(visitor, "50.00", "LAST").location
    visitor.post(checkout, act="later")
    topup = panel.ada().topups.list().items[0].id
    panel.clock.advance(hours=2)
    panel.billing.run_due()
    waiting = promotion_line(visitor.get(f"/add-funds/back?topup={topup}").text)
    ben = panel.billing.customer("ben")
    quote = ben.topups.quote(eur("10.00"), code="LAST")
    ben.topups.start(quote, return_url="http://localhost/", cancel_url="http://localhost/", key="last")

    page = visitor.post(checkout, act="finish").text

    assert waiting.startswith("The reservation of LAST has ended.")
    assert "€50.00 added" in page
    assert "came after the reservation of LAST had ended" in promotion_line(page)


def test_what_costs_nothing_needs_no_provider(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    page = summary(visitor, "10.00", "FREE10")
    aside = page.partition('id="summary"')[2]

    begun = begin(visitor, "10.00", "FREE10")
    credited = visitor.get(begun.location).text

    assert button(page) == "Get it for free"
    assert "provider" not in aside
    assert "Nothing is to be paid." in aside
    assert begun.location.startswith("/add-funds/back?topup=")
    assert "€10.00 added" in credited
    assert "There was nothing to pay." in credited
    assert promotion_line(credited) == "With FREE10 you got €10.00 off the price."
    assert panel.ada().balance().settled == before + eur("10.00")


def test_a_code_that_ends_between_summary_and_start_is_told_and_nothing_begins(visitor: Visitor, panel: Any) -> None:
    fields = {"amount": "50.00", "gateway": "simulated", "code": "WELCOME10", "act": "pay"}
    fields |= hidden(summary(visitor, "50.00", "WELCOME10"))
    panel.alice().promotions.change(Promotion("WELCOME10", Bonus(Percent("20"))), reason="more")

    changed = visitor.post("/add-funds", **fields)
    panel.alice().promotions.end("WELCOME10", reason="over")
    ended = visitor.post("/add-funds", **fields)

    assert "What you would pay has changed" in changed.text
    assert "can be used no more" in error_at(ended.text, "code")
    assert len(panel.ada().topups.list().items) == TOPUPS


def test_a_code_refused_by_the_start_itself_is_told_beside_its_field(
    visitor: Visitor, panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prepaid import PromotionRefused
    from prepaid.doors.customer import CustomerTopups

    def refuse(*_: Any, **__: Any) -> None:
        raise PromotionRefused("Another top-up with this code is still being paid.", reason="in-use")

    monkeypatch.setattr(CustomerTopups, "start", refuse)

    answer = begin(visitor, "50.00", "WELCOME10")

    assert answer.status_code == 422
    assert "still being paid" in error_at(answer.text, "code")


def test_the_hints_of_the_demo_are_true(visitor: Visitor, panel: Any) -> None:
    from wiring import CODES_TO_TRY

    page = visitor.get("/add-funds").text
    states = {code: panel.alice().promotions.get(code).state for code, _ in CODES_TO_TRY}

    assert all(code in page for code, _ in CODES_TO_TRY)
    assert states == {"WELCOME10": "active", "SAVE5": "active", "FREE10": "active", "SUMMER": "expired"}


# The operator


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    return visitor.be("operator")


def make(visitor: Visitor, **fields: str) -> Any:
    return visitor.post("/operator/new-promotion", **{**PROMOTION, **fields})


def row_of(page: str, code: str) -> str:
    found = re.search(rf'<tr data-code="{code}">(.*?)</tr>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", found.group(1))).strip()


def test_the_list_says_what_codes_give_how_far_they_are_and_what_is_left(operator: Visitor) -> None:
    page = operator.get("/operator/promotions").text

    assert re.findall('data-code="([^"]+)"', page) == ["WELCOME10", "SAVE5", "FREE10", "SUMMER"]
    welcome = row_of(page, "WELCOME10")
    for said in ("10 % bonus, at most €25.00", "1 use per customer", "The bonus lasts 90 days", "Active", "€1.00"):
        assert said in welcome
    save = row_of(page, "SAVE5")
    for said in ("€5.00 off", "For top-ups of €20.00 and more", "200 uses in all", "€500.00"):
        assert said in save
    assert "Over" in row_of(page, "SUMMER")
    assert "(Europe/Berlin)" in row_of(page, "SUMMER")


def test_tiers_windows_and_names_are_words(panel: Any, operator: Visitor) -> None:
    tiers = Tiers((eur("50.00"), Percent("5")), (eur("200.00"), Fixed(eur("25.00"))))
    rule = Promotion(
        "ALL",
        (Bonus(tiers), Discount(Percent("12.5"))),
        valid_from=datetime.fromisoformat("2027-01-01T10:30:00+00:00"),
        valid_until=date(2027, 3, 1),
        maximum=eur("900.00"),
        countries=("DE", "FR"),
        gateways=("simulated",),
        currencies=("EUR",),
        customers=("ada", "ben"),
        groups=("friends",),
        customer_age=timedelta(hours=36),
        first_topup_only=True,
    )
    panel.alice().promotions.create(rule)

    said = row_of(operator.get("/operator/promotions").text, "ALL")
    assert "bonus: 5 % from €50.00 on, €25.00 from €200.00 on and 12.5 % off" in said
    for words in (
        "From 1 Jan 2027, 10:30 and before 1 Mar 2027 (UTC)",
        "Only for the first top-up",
        "For top-ups of €900.00 and less",
        "For customers of less than 36 hours",
        "In countries DE, FR",
        "In currencies EUR",
        "Paid at simulated",
        "For 2 named customers",
        "For groups friends",
        "Not yet",
    ):
        assert words in said


def test_a_promotion_is_made_used_and_seen(operator: Visitor, panel: Any) -> None:
    made = make(operator, cap="3.00", budget="100.00", bonus_expires_after="30", uses_total="7")
    operator.be("customer")
    pay(operator, "50.00", "spring")
    operator.be("operator")
    page = operator.get("/operator/promotion?code=spring").text
    topup = re.search(r'href="(/operator/topups/[^"]+)"', page)
    assert topup is not None

    assert "SPRING is made." in made.text
    assert re.search(r'id="redeemed">1<', page)
    assert re.search(r'id="granted">€3.00<', page)
    assert money_in(page, 'id="left"') == Decimal("97.00")
    assert "The bonus lasts 30 days" in page
    assert 'data-state="redeemed"' in page
    looked = operator.get(topup.group(1)).text
    assert money_in(looked, "<dt>Bonus</dt>") == Decimal("3.00")
    assert "Redeemed" in looked
    audit = panel.alice().audit.list().items[0]
    assert (audit.action, audit.reason) == ("promotion-create", "spring")
    assert "promotion-create" in operator.get("/operator/audit").text


def test_a_discount_of_a_fixed_amount_between_days_for_the_first_topup(operator: Visitor, panel: Any) -> None:
    fields = {"gives": "discount", "percent": "", "fixed": "7,50", "minimum": "20", "uses_per_customer": "2"}
    make(operator, **fields, valid_from="2027-01-01", valid_until="2027-02-01", first_topup_only="yes")

    rule = panel.alice().promotions.get("SPRING").promotion

    assert rule == Promotion(
        "SPRING",
        Discount(Fixed(eur("7.50"))),
        minimum=eur("20.00"),
        uses_per_customer=2,
        first_topup_only=True,
        valid_from=date(2027, 1, 1),
        valid_until=date(2027, 2, 1),
        timezone="Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"code": ""}, "code", "Give the code"),
        ({"code": "SPRING TIME"}, "code", "letters from A to Z"),
        ({"code": "WELCOME10"}, "code", "Another promotion has this code."),
        ({"percent": ""}, "percent", "either percent or a fixed amount"),
        ({"fixed": "5"}, "percent", "either percent or a fixed amount"),
        ({"percent": "ten"}, "percent", ""),
        ({"percent": "1001"}, "percent", "at most 1000"),
        ({"gives": "discount", "percent": "101"}, "percent", "at most 100 percent"),
        ({"percent": "", "fixed": "x"}, "fixed", ""),
        ({"percent": "", "fixed": "-5"}, "fixed", ""),
        ({"percent": "", "fixed": "5", "cap": "3"}, "cap", "as high as it is"),
        ({"cap": "0"}, "cap", ""),
        ({"minimum": "0.001"}, "minimum", ""),
        ({"budget": "0"}, "budget", ""),
        ({"budget": "lots"}, "budget", ""),
        ({"uses_total": "0"}, "uses_total", "whole number"),
        ({"uses_total": "1.5"}, "uses_total", "whole number"),
        ({"uses_per_customer": "many"}, "uses_per_customer", "whole number"),
        ({"valid_from": "soon"}, "valid_from", "Give a day"),
        ({"valid_until": "9999-12-31"}, "valid_until", "of this time"),
        ({"valid_from": "2027-02-01", "valid_until": "2027-02-01"}, "valid_until", "the window is empty"),
        ({"timezone": "Berlin"}, "timezone", "time zone such as"),
        ({"timezone": ""}, "timezone", ""),
        ({"bonus_expires_after": "x"}, "bonus_expires_after", "whole number"),
        ({"bonus_expires_after": "40000"}, "bonus_expires_after", "36,500"),
        ({"gives": "discount", "bonus_expires_after": "5"}, "bonus_expires_after", "gives a bonus"),
        ({"reason": "x" * 501}, "reason", ""),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_beside_its_field(
    operator: Visitor, panel: Any, wrong: dict[str, str], field: str, said: str
) -> None:
    answer = make(operator, **wrong)

    message = error_at(answer.text, field)
    assert answer.status_code == 422
    assert said in message
    assert not re.search("valid_|uses_|bonus_", message)
    assert message[0].isupper()
    assert len(panel.alice().promotions.list().items) == 4
    assert 'value="spring"' in answer.text or wrong.get("reason")


def test_a_promotion_gives_something(operator: Visitor) -> None:
    answer = make(operator, gives="")

    assert answer.status_code == 422
    assert '<p class="error">Choose what it gives.</p>' in answer.text


def change(visitor: Visitor, code: str, **fields: str) -> Any:
    """Send the form of a promotion as it is shown, but for some fields."""
    url = f"/operator/promotion/change?code={code}"
    shown = {}
    for field in re.findall("<input [^>]*>", visitor.get(url).text.partition("<main")[2]):
        name, value = (re.search(f'{what}="([^"]*)"', field) for what in ("name", "value"))
        if name and value and ("checked" in field or not re.search('type="(radio|checkbox)"', field)):
            shown[name.group(1)] = html.unescape(value.group(1))
    del shown["csrf"]
    return visitor.post(url, **{**shown, **fields})


def test_a_change_keeps_what_the_form_has_no_room_for(operator: Visitor, panel: Any) -> None:
    tiers = Bonus(Tiers((eur("50.00"), Percent("5"))))
    rule = Promotion(
        "TIERED",
        tiers,
        countries=("DE",),
        valid_until=datetime.fromisoformat("2027-01-01T10:30:00+00:00"),
        bonus_expires_after=timedelta(hours=36),
    )
    panel.alice().promotions.create(rule)

    page = change(operator, "TIERED", uses_total="9", reason="enough").text
    now = panel.alice().promotions.get("TIERED").promotion

    assert "TIERED is changed." in page
    assert (now.uses_total, now.effect, now.countries) == (9, tiers, ("DE",))
    assert (now.valid_until, now.bonus_expires_after) == (rule.valid_until, rule.bonus_expires_after)
    assert "That stays as it is" in operator.get("/operator/promotion/change?code=TIERED").text
    assert panel.alice().audit.list().items[0].reason == "enough"


def test_a_change_of_nothing_changes_nothing(operator: Visitor, panel: Any) -> None:
    before = {code: panel.alice().promotions.get(code).promotion for code in ("WELCOME10", "SAVE5", "SUMMER")}

    for code in before:
        change(operator, code)

    assert {code: panel.alice().promotions.get(code).promotion for code in before} == before


def test_a_limit_below_what_is_used_is_refused_beside_its_field(operator: Visitor, panel: Any) -> None:
    panel.alice().promotions.create(Promotion("TWICE", Bonus(Percent("10"))))
    operator.be("customer")
    for _ in range(2):
        pay(operator, "50.00", "TWICE")
    operator.be("operator")

    uses = change(operator, "TWICE", uses_total="1")
    budget = change(operator, "TWICE", budget="9.99")

    assert error_at(uses.text, "uses_total") == "Uses in all is below the 2 uses so far."
    assert "below what was given" in error_at(budget.text, "budget")
    assert panel.alice().promotions.get("TWICE").promotion.uses_total is None


def test_a_promotion_ends_with_a_reason_and_then_for_good(operator: Visitor, panel: Any) -> None:
    without = operator.post("/operator/promotion/end?code=SAVE5")
    ended = operator.post("/operator/promotion/end?code=SAVE5", reason="sold out")
    after = change(operator, "SAVE5", uses_total="500")

    assert without.status_code == 422
    assert error_at(without.text, "reason") == "Say why it ends."
    assert "SAVE5 has ended." in ended.text
    assert "End the promotion" not in ended.text
    assert "Change it" not in ended.text
    assert after.status_code == 422
    assert "This promotion was ended." in after.text
    audit = panel.alice().audit.list().items[0]
    assert (audit.action, audit.reason) == ("promotion-end", "sold out")


@pytest.mark.parametrize("code", ["", "x", "<b>", "..", "a" * 300])
def test_a_code_of_no_promotion_has_no_page_and_no_acts(operator: Visitor, code: str) -> None:
    assert operator.get(f"/operator/promotion?code={code}").status_code == 404
    assert operator.get(f"/operator/promotion/change?code={code}").status_code == 404
    assert operator.post(f"/operator/promotion/change?code={code}").status_code == 404
    assert operator.post(f"/operator/promotion/end?code={code}", reason="r").status_code == 404


def test_any_code_that_the_library_takes_has_its_page(operator: Visitor) -> None:
    for code in ("..", "new", "a.b-c_d"):
        assert make(operator, code=code).status_code == 200
        page = operator.get("/operator/promotions").text
        link = re.search(rf'<tr data-code="{re.escape(code)}"><th[^>]*><a href="([^"]+)"', page)
        assert link is not None
        assert f"<h1>{code}</h1>" in operator.get(html.unescape(link.group(1))).text


def test_long_lists_come_in_pages(operator: Visitor, panel: Any) -> None:
    for number in range(25):
        panel.alice().promotions.create(Promotion(f"P{number}", Bonus(Percent("10"))))
    first = operator.get("/operator/promotions").text
    older = re.search(r'href="([^"]+)">Older', first)
    assert older is not None
    second = operator.get(html.unescape(older.group(1))).text

    codes = re.findall('data-code="([^"]+)"', first + second)
    assert len(codes) == len(set(codes)) == 29
    assert operator.get("/operator/promotions?cursor=forged").status_code == 400


def test_what_operators_type_is_shown_as_text(operator: Visitor) -> None:
    refused = make(operator, code="<b>x</b>", reason="<b>y</b>").text

    assert "<b>" not in refused
