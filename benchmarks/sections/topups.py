"""A top-up as far as it is ours: the quote, and settling once the gateway has answered."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import date
from typing import Any

from attrs import field, frozen

from prepaid import Address, Money, Prepaid, TaxProfile, TaxRule
from prepaid.gateways import SimulatedGateway

from ..books import CURRENCY, customer_name, fill, open_billing, operator
from ..engines import Engine
from ..figures import Figure
from ..rounds import seconds
from ..stage import Stage, timed

CUSTOMERS = 1_000
AMOUNT = "50.00"
BLOCK = 50


@frozen(kw_only=True)
class WatchedGateway(SimulatedGateway):
    """The simulated gateway, with a note of when it answered last."""

    answered: list[float] = field(factory=list)

    def fetch_payment(self, *given: Any, **named: Any) -> Any:
        """Answer, and note when."""
        answer = super().fetch_payment(*given, **named)
        self.answered.append(time.perf_counter())
        return answer


def topups(stage: Stage, engine: Engine) -> list[Figure]:
    """Measure quotes, and settlements by `confirm`."""
    stage.note_engine(engine)
    url = stage.engines.new_url(engine)
    fill(url, customers=CUSTOMERS, tell=stage.tell)
    gateway = WatchedGateway(state=stage.engines.folder / f"{engine}-gateway.db")
    with closing(open_billing(url, gateways=[gateway])) as billing:
        _set_tax(billing)
        found = stage.in_turn(
            {
                "quote, ms": lambda: _quote_ms(billing),
                "settle, ms": lambda: _settle_ms(billing, gateway),
            },
            rounds=9,
        )
    return [
        timed(f"{engine}-quote", found["quote, ms"], unit="ms"),
        timed(f"{engine}-settle", found["settle, ms"], unit="ms"),
    ]


def _set_tax(billing: Prepaid) -> None:
    rule = TaxRule(country="FR", components=(("TVA", "20"),), valid_from=date(2014, 1, 1))
    operator(billing).tax.add(rule)
    for number in range(1, 11):
        billing.customer(customer_name(number)).tax_profile.set(TaxProfile(address=Address(country="FR")))


def _quote_ms(billing: Prepaid) -> float:
    door, amount = billing.customer(customer_name(1)), Money.of(AMOUNT, CURRENCY)

    def work() -> None:
        for _ in range(BLOCK):
            door.topups.quote(amount)

    return 1000 * seconds(work) / BLOCK


def _settle_ms(billing: Prepaid, gateway: WatchedGateway) -> float:
    """Settle ten top-ups, and give the mean from the gateway's answer to the end of the call."""
    total = 0.0
    for number in range(1, 11):
        door = billing.customer(customer_name(number))
        quote = door.topups.quote(Money.of(AMOUNT, CURRENCY))
        key = f"form-{time.perf_counter_ns()}"
        topup = door.topups.start(quote, return_url="https://p.example/b", cancel_url="https://p.example/c", key=key)
        gateway.pay(str(topup.checkout.redirect_url).rsplit("/", 1)[1])
        gateway.answered.clear()
        settled = door.topups.confirm(topup.id)
        ended = time.perf_counter()
        if settled.state != "credited":
            raise RuntimeError(f"a top-up is {settled.state}")
        total += ended - gateway.answered[0]
    return 1000 * total / 10
