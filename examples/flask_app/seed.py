"""A few days of a small cloud: what the demo shows on its first visit."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

from prepaid import Address, Money, Rate, TaxProfile, TaxRule, Thresholds
from prepaid.testing.clock import MovableClock
from wiring import CURRENCY, CUSTOMER, DemoClock, Panel, open_panel

RESOURCES = (
    ("web-1", "Virtual machine", "0.00744"),
    ("data-1", "Volume", "0.00137"),
    ("edge-1", "Load balancer", "0.00833"),
)
DAYS_OF_HISTORY = 3
HOURS_RUNNING = 6


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
    _top_up(panel, CUSTOMER, "25.00")
    _top_up(panel, "ben", "10.00")
    clock.set(now - timedelta(hours=HOURS_RUNNING))
    for resource, kind, rate in RESOURCES:
        panel.billing.meters.start(CUSTOMER, resource=resource, kind=kind, rate=Rate.hourly(rate, CURRENCY))
    for hour in reversed(range(HOURS_RUNNING)):
        clock.set(now - timedelta(hours=hour))
        panel.billing.run_due()
    panel.billing.close()


def _configure(panel: Panel) -> None:
    alice = panel.alice()
    alice.tax.add(TaxRule(country="DE", components=(("VAT", "19"),), valid_from=date(2021, 1, 1), source="UStG § 12"))
    alice.tax.add(
        TaxRule(country="FR", components=(("TVA", "20"),), valid_from=date(2014, 1, 1), source="CGI art. 278")
    )
    alice.settings.thresholds(Thresholds(low=Money.of("5.00", CURRENCY)))


def _register(panel: Panel) -> None:
    panel.billing.customers.register(CUSTOMER, email="ada@example.com", name="Ada Lovelace", currency=CURRENCY)
    panel.billing.customers.register("ben", email="ben@example.com", name="Ben Martin", currency=CURRENCY)
    berlin = Address(line1="Linienstr. 20", city="Berlin", postcode="10178", country="DE")
    panel.billing.customer(CUSTOMER).tax_profile.set(TaxProfile(name="Ada Lovelace", address=berlin))
    paris = Address(line1="1 rue de Rivoli", city="Paris", postcode="75001", country="FR")
    panel.billing.customer("ben").tax_profile.set(TaxProfile(name="Ben Martin", address=paris))


def _top_up(panel: Panel, customer: str, amount: str) -> None:
    """Buy credit the way a customer does: quote, start, pay, confirm."""
    door = panel.billing.customer(customer)
    quote = door.topups.quote(Money.of(amount, CURRENCY))
    back = "http://localhost/"
    topup = door.topups.start(quote.token, return_url=back, cancel_url=back, key="first")
    panel.gateway.pay(str(topup.checkout.redirect_url).rsplit("/", 1)[1])
    door.topups.confirm(topup.id)
