"""Figures of one currency as money."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..core import figures
from ..core.money import Money
from ..store.flows import Flow


@frozen(kw_only=True)
class Figures:
    """Figures of one currency over some time, each a sum over transfers.

    Attributes:
        funds_in: Paid for credited top-ups, tax included, on the day credited.
        credit_consumed: Usage charged, corrected and given back.
        tax_collected: Tax of credited top-ups, less that of refunds and lost disputes.
        refunds_issued: Money given back for credited top-ups, tax included, less what came back.
        bonus_granted: Credit given with top-ups, less what was taken back.
        discount: Credit that discounts gave, less what refunds and disputes took back.
        vouchers: Credit of vouchers that were redeemed.
        goodwill: Credit that operators gave away.
        breakage: Credit that expired.
        fees: What gateways kept, of payments and disputes.
        disputed: Money that gateways took back for disputes, less what they returned.
        suspense_in: Payments that began to wait for an operator.
        suspense_out: Payments that wait no longer.
    """

    funds_in: Money
    credit_consumed: Money
    tax_collected: Money
    refunds_issued: Money
    bonus_granted: Money
    discount: Money
    vouchers: Money
    goodwill: Money
    breakage: Money
    fees: Money
    disputed: Money
    suspense_in: Money
    suspense_out: Money

    @property
    def in_review(self) -> Money:
        """Money that came in and waits in suspense: what came there less what left."""
        return self.suspense_in - self.suspense_out


def figures_of(moved: Iterable[Flow], currency: str) -> dict[str, Money]:
    """Give every figure of what moved, by the names of `Figures`."""
    return {name: Money(units, currency) for name, units in figures.figures(moved).items()}
