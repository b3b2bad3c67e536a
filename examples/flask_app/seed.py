"""A few days of a small cloud: what the demo shows on its first visit."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from prepaid import (
    Address,
    Bonus,
    Discount,
    Fixed,
    Money,
    Percent,
    Promotion,
    Rate,
    TaxProfile,
    TaxRule,
    Thresholds,
    Topup,
)
from prepaid.testing.clock import MovableClock
from wiring import CURRENCY, CUSTOMER, SELLER, TAXED_WHERE, VOUCHER_FILE, DemoClock, Panel, open_panel

RESOURCES = (
    ("web-1", "Virtual machine", "0.00744"),
    ("data-1", "Volume", "0.00137"),
    ("edge-1", "Load balancer", "0.00833"),
)
# Of a German seller of electronic services who is in the one-stop shop. Of the other member states there are no rates
# here: a real seller has one rule for each.
RULES = (
    *(
        TaxRule(country, (tax,), requires_registration=TAXED_WHERE, valid_from=since, source=source)
        for country, tax, since, source in (
            ("DE", ("VAT", "19"), date(2021, 1, 1), "UStG § 12(1)"),
            ("FR", ("TVA", "20"), date(2014, 1, 1), "CGI art. 278"),
            ("AT", ("USt", "20"), date(1984, 1, 1), "öUStG § 10(1)"),
            ("ES", ("IVA", "21"), date(2012, 9, 1), "LIVA art. 90"),
        )
    ),
    # Before the rates of the countries, hence the priority.
    TaxRule(
        "EU",
        customer="business",
        tax_id="valid",
        seller="other_country",
        treatment="reverse_charge",
        priority=1,
        valid_from=date(2010, 1, 1),
        source="2006/112/EC Art. 44, 196",
    ),
    TaxRule(
        "EU",
        seller="other_country",
        treatment="not_collecting",
        valid_from=date(2015, 1, 1),
        source="No rate of that country is kept here",
    ),
    TaxRule(
        "*",
        seller="other_country",
        treatment="out_of_scope",
        valid_from=date(2015, 1, 1),
        source="2006/112/EC Art. 44, 58",
    ),
)
DAYS_OF_HISTORY = 3
HOURS_RUNNING = 6
VOUCHERS_MADE = 5


def seeded(data: Path) -> Path:
    """Give the directory of the demo's state, made and filled the first time."""
    state, fresh = data / "state", data / "state.seeding"
    if not state.exists():
        # Filled beside its place: a seeding that was cut short is begun anew.
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _fill(fresh, DemoClock(fresh / "clock-offset").now())
        fresh.rename(state)
    return state


def _fill(state: Path, now: datetime) -> None:
    clock = MovableClock(now - timedelta(days=DAYS_OF_HISTORY))
    panel = open_panel(state, clock)
    panel.billing.upgrade_database()
    _configure(panel)
    _register(panel)
    _give_back(panel, _top_up(panel, CUSTOMER, "15.00"))
    _top_up(panel, CUSTOMER, "25.00")
    _promote(panel)
    _ask_back(panel, _top_up(panel, "ben", "10.00", code="WELCOME10"))
    _dispute(panel, _top_up(panel, "ben", "20.00"))
    _give_vouchers(panel)
    clock.set(now - timedelta(hours=HOURS_RUNNING))
    for resource, kind, rate in RESOURCES:
        panel.billing.meters.start(CUSTOMER, resource=resource, kind=kind, rate=Rate.hourly(rate, CURRENCY))
    for hour in reversed(range(HOURS_RUNNING)):
        clock.set(now - timedelta(hours=hour))
        panel.billing.run_due()
    panel.billing.close()


def _configure(panel: Panel) -> None:
    alice = panel.alice()
    for rule in RULES:
        alice.tax.add(rule)
    alice.settings.thresholds(Thresholds(low=Money.of("5.00", CURRENCY)))
    alice.settings.approvals(two_person_above=Money.of("50.00", CURRENCY))


def _promote(panel: Panel) -> None:
    for reason, rule in _promotions(panel.today()):
        panel.alice().promotions.create(rule, reason=reason)


def _promotions(today: date) -> tuple[tuple[str, Promotion], ...]:
    summer = Bonus(Percent("20"), cap=Money.of("50.00", CURRENCY))
    welcome = Bonus(Percent("10"), cap=Money.of("25.00", CURRENCY))
    return (
        ("Summer", _promotion("SUMMER", summer, valid_from=today - timedelta(days=90), valid_until=today)),
        ("Friends of the house", _promotion("FREE10", _off("10.00"), uses_per_customer=1)),
        (
            "Newsletter",
            _promotion(
                "SAVE5",
                _off("5.00"),
                minimum=Money.of("20.00", CURRENCY),
                uses_total=200,
                budget=Money.of("500.00", CURRENCY),
            ),
        ),
        (
            "For everybody who is new",
            _promotion("WELCOME10", welcome, uses_per_customer=1, bonus_expires_after=timedelta(days=90)),
        ),
    )


def _promotion(code: str, effect: Bonus | Discount, **limits: Any) -> Promotion:
    return Promotion(code, effect, timezone=SELLER.timezone, **limits)


def _off(amount: str) -> Discount:
    return Discount(Fixed(Money.of(amount, CURRENCY)))


def _give_vouchers(panel: Panel) -> None:
    """Make a batch: Ben has the first one, the demo's visitor gets the next one as a hint."""
    lasts = timedelta(days=180)
    made = panel.alice().vouchers.create(
        Money.of("15.00", CURRENCY),
        count=VOUCHERS_MADE,
        expires_at=panel.clock.now() + lasts,
        credit_valid_for=lasts,
        prefix="FAIR",
        reason="The fair in Berlin",
    )
    panel.billing.customer("ben").vouchers.redeem(made[0].code)
    (panel.state / VOUCHER_FILE).write_text(made[1].code)


def _register(panel: Panel) -> None:
    panel.billing.customers.register(CUSTOMER, email="ada@example.com", name="Ada Lovelace", currency=CURRENCY)
    panel.billing.customers.register("ben", email="ben@example.com", name="Ben Martin", currency=CURRENCY)
    berlin = Address(line1="Linienstr. 20", city="Berlin", postcode="10178", country="DE")
    panel.billing.customer(CUSTOMER).tax_profile.set(TaxProfile(name="Ada Lovelace", address=berlin))
    paris = Address(line1="1 rue de Rivoli", city="Paris", postcode="75001", country="FR")
    panel.billing.customer("ben").tax_profile.set(TaxProfile(name="Ben Martin", address=paris))


def _top_up(panel: Panel, customer: str, amount: str, *, code: str | None = None) -> Topup:
    """Buy credit the way a customer does: quote, start, pay, confirm."""
    door = panel.billing.customer(customer)
    quote = door.topups.quote(Money.of(amount, CURRENCY), code=code)
    back = "http://localhost/"
    topup = door.topups.start(quote.token, return_url=back, cancel_url=back, key=f"first-{amount}")
    panel.gateway.pay(_checkout_of(topup))
    return door.topups.confirm(topup.id)


def _checkout_of(topup: Topup) -> str:
    return str(topup.checkout.redirect_url).rsplit("/", 1)[1]


def _give_back(panel: Panel, topup: Topup) -> None:
    """Have a whole top-up asked back and approved: it leaves a credit note."""
    door = panel.billing.customer(topup.customer)
    asked = door.refunds.request(topup.id, topup.credit, reason="Clicked the wrong amount", key="seed")
    panel.alice().refunds.approve(asked.id, reason="Nothing of it was used", note="No problem: all of it goes back.")


def _ask_back(panel: Panel, topup: Topup) -> None:
    """Leave a request for the operators to decide."""
    door = panel.billing.customer(topup.customer)
    door.refunds.request(topup.id, Money.of("6.00", CURRENCY), reason="I need less than I thought", key="seed")


def _dispute(panel: Panel, topup: Topup) -> None:
    """Have a payment disputed at its bank, and hear of it."""
    [paid] = [each for each in panel.gateway.list_payments(*_lately(panel)).items if each.topup_id == topup.id]
    panel.gateway.dispute(paid.checkout_id)
    panel.alice().topups.recheck(topup.id)


def _lately(panel: Panel) -> tuple[datetime, datetime]:
    now = panel.clock.now()
    return now - timedelta(days=1), now + timedelta(days=1)
