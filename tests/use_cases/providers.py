"""Simulated providers with a will of their own: some take less than everything, some lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs import frozen

from prepaid import GatewayError, Money
from prepaid.core.hashing import canonical_json
from prepaid.core.instants import to_micros
from prepaid.gateways import SimulatedGateway
from prepaid.gateways.signed import sign
from prepaid.ports import CurrencyLimits

SECRET = "whsec_never_to_be_shown"


@frozen(kw_only=True)
class NarrowGateway(SimulatedGateway):
    """Takes only `takes`, a mapping of currency to (minimum, maximum, step)."""

    takes: dict[str, tuple[str, str, str]] = attrs.field(factory=dict)
    keys_valid_s: int = 10 * 365 * 86_400

    def capabilities(self):
        limits = {
            currency: CurrencyLimits(
                minimum=Money.of(least, currency), maximum=Money.of(most, currency), step=Money.of(step, currency)
            )
            for currency, (least, most, step) in self.takes.items()
        }
        return attrs.evolve(super().capabilities(), currencies=limits, create_key_valid_s=self.keys_valid_s)


@frozen(kw_only=True)
class LyingGateway(SimulatedGateway):
    """Answers look-ups with some fields replaced by `lies`, and counts them in `asked`.

    What stands in `on_create`, `on_fetch` and `on_disputes` happens once, while the
    host waits for the answer: another worker's doing.
    """

    lies: dict[str, Any] = attrs.field(factory=dict)
    disputes: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    further_refunds: list[Any] = attrs.field(factory=list)
    further_disputes: list[Any] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)
    on_create: list[Callable[[Any], Any]] = attrs.field(factory=list)
    on_fetch: list[Callable[[], Any]] = attrs.field(factory=list)
    on_disputes: list[Callable[[], Any]] = attrs.field(factory=list)

    def create_checkout(self, request):
        checkout = super().create_checkout(request)
        return self.on_create.pop()(checkout) if self.on_create else checkout

    def fetch_payment(self, ref):
        self.asked.append(ref.topup_id)
        payment = attrs.evolve(super().fetch_payment(ref), **self.lies)
        if self.on_fetch:
            self.on_fetch.pop()()
        return payment

    def refunds_of(self, ref):
        return (*super().refunds_of(ref), *self.further_refunds)

    def disputes_of(self, ref):
        if self.on_disputes:
            self.on_disputes.pop()()
        told = (attrs.evolve(each, **self.disputes.get(each.dispute_id, {})) for each in super().disputes_of(ref))
        return (*told, *self.further_disputes)

    def check_credentials(self):
        if "credentials" in self.asked:
            raise GatewayError("The credentials were withdrawn.")
        return super().check_credentials()


def receive(billing, headers, body, to="simulated"):
    return billing.webhooks.receive(to, body=body, headers=headers)


def signed(content, *, at, secret="simulated-secret"):
    """Give headers and body of a webhook that the simulated provider might have sent."""
    body = content if isinstance(content, bytes) else canonical_json(content).encode()
    return {"Simulated-Signature": sign(body, secret, at=to_micros(at) // 1_000_000)}, body


def event(topup, *, type="payment.captured", id="evt_1", **changes):
    """Give the content of a webhook about a top-up."""
    checkout_id = topup.checkout.redirect_url.rsplit("/", 1)[1]
    known = {"id": id, "type": type, "mode": "test", "checkout_id": checkout_id, "topup_id": topup.id}
    return {**known, **changes}
