"""A billing system, and a provider that pays when it is told to: what lives are lived in."""

from __future__ import annotations

from typing import NamedTuple

from prepaid import Bonus, Discount, Fixed, Percent, Prepaid, Promotion
from prepaid.gateways import SimulatedGateway
from prepaid.testing.clock import MovableClock
from prepaid.testing.mail import RecordingMailer
from prepaid.testing.registers import ScriptedRegister
from tests.faults.verifying import Verifying
from tests.use_cases.steps import ADA, EVE, PlainRenderer, add_rule, eur, live_in, operator, seller

CODES = {
    "SAVE10": {"effect": Bonus(Percent("10"), cap=eur("5.00")), "uses_total": 20, "budget": eur("60.00")},
    "HELLO": {"effect": (Bonus(Fixed(eur("2.00"))), Discount(Percent("50"))), "first_topup_only": True},
    "FREE": {"effect": Discount(Percent("100")), "uses_per_customer": 1},
}
"""Promotions that a life may use."""


class Shop(NamedTuple):
    """A billing system with the provider and the clock it was wired to."""

    billing: Prepaid
    provider: SimulatedGateway
    clock: MovableClock


def shop_in(engine, folder, book):
    clock = MovableClock()
    provider = SimulatedGateway(state=folder / f"{book}.db", clock=clock, timeout_s=1)
    billing = Prepaid(
        database=engine,
        book=book,
        mode="test",
        seller=seller(),
        currencies=("EUR", "USD", "JPY"),
        gateways=[provider],
        mailer=RecordingMailer(),
        renderer=PlainRenderer(),
        clock=clock,
        load_plugins=False,
        identity=Verifying(folder / f"{book}.json"),
        tax_id_registers=[ScriptedRegister(["FR40303265045"])],
    )
    billing.customers.register(ADA, email="ada@example.com", name="Ada", currency="EUR")
    billing.customers.register(EVE, email="eve@example.com", name="Eve", currency="EUR")
    add_rule(billing)
    live_in(billing, "FR")
    live_in(billing, "US", EVE)
    for code, limits in CODES.items():
        operator(billing).promotions.create(Promotion(code, **limits))
    return Shop(billing, provider, clock)
