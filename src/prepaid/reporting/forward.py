"""The roll-forward: how all customers' balances came from what they were to what they are, to the ledger unit."""

from __future__ import annotations

from datetime import date, datetime

from attrs import frozen

from ..config import Context
from ..core import figures
from ..core.money import Money
from ..store import Tx
from ..store.flows import Flow
from .spans import read_span
from .sums import moved


@frozen(kw_only=True)
class RollForward:
    """What was added to all customers' balances together over a span of time; what was taken is negative.

    Opening and all lines to ``adjustments`` together are the closing.

    Attributes:
        since: First instant.
        until: First instant after.
        currency: ISO 4217 code.
        opening: All customers' balances before, debts included.
        topups: Credit of top-ups, with that of discounts.
        bonus: Credit given with top-ups.
        vouchers: Credit of vouchers that were redeemed.
        goodwill: Credit that operators gave away.
        external: Credit that other systems funded.
        migration: Credit brought over from other systems.
        refund_reversals: Credit of refunds that failed.
        consumed: Usage, less what was given back.
        expired: Credit that lapsed.
        voided: Credit that operators took back.
        refunds: Credit of top-ups that are, or will be, paid back.
        clawbacks: Bonus taken back with refunds and disputes, less what was given again.
        disputes: Credit of disputes that were lost.
        adjustments: Whatever no other line names.
        closing: All customers' balances after.
        suspense_opening: Money that waited for an operator before.
        suspense_in: Payments that began to wait.
        suspense_out: Payments that wait no longer.
        suspense_closing: Money that waited after.
    """

    since: datetime
    until: datetime
    currency: str
    opening: Money
    topups: Money
    bonus: Money
    vouchers: Money
    goodwill: Money
    external: Money
    migration: Money
    refund_reversals: Money
    consumed: Money
    expired: Money
    voided: Money
    refunds: Money
    clawbacks: Money
    disputes: Money
    adjustments: Money
    closing: Money
    suspense_opening: Money
    suspense_in: Money
    suspense_out: Money
    suspense_closing: Money

    @property
    def lines(self) -> dict[str, Money]:
        """The lines between opening and closing by name."""
        return {name: getattr(self, name) for name in (*figures.ROLL_FORWARD, "adjustments")}


def roll_forward(context: Context, since: date, until: date, *, currency: str | None = None) -> RollForward:
    """Roll all customers' balances of one currency forward over ``[since, until)``.

    Args:
        context: The billing system.
        since: First day in the seller's zone, or an aware instant.
        until: First day after, or an aware instant.
        currency: The book's default if None.

    Raises:
        InvalidRequest: Not days or instants from 1970 on, or in the wrong order.
        InvalidAmount: Not a currency code.
    """
    code, span = context.currency_or_default(currency), read_span(context, since, until)

    def facts(tx: Tx) -> tuple[list[Flow], list[Flow]]:
        before = moved(tx, span.timezone, code, since=None, until=span.since)
        return before, moved(tx, span.timezone, code, since=span.since, until=span.until)

    before, between = context.database.read(facts)
    opening, waited = figures.wallets_net(before), _suspense(before)
    lines, sums = figures.roll_forward(between), figures.figures(between)
    units = {
        "opening": opening,
        **lines,
        "closing": opening + sum(lines.values()),
        "suspense_opening": waited,
        "suspense_in": sums["suspense_in"],
        "suspense_out": sums["suspense_out"],
        "suspense_closing": waited + sums["suspense_in"] - sums["suspense_out"],
    }
    money = {name: Money(amount, code) for name, amount in units.items()}
    return RollForward(since=span.since, until=span.until, currency=code, **money)


def _suspense(moved: list[Flow]) -> int:
    sums = figures.figures(moved)
    return sums["suspense_in"] - sums["suspense_out"]
