"""Figures day by day, and what all customers' balances came to at the end of each."""

from __future__ import annotations

from datetime import date
from itertools import accumulate

from attrs import frozen

from ..config import Context
from ..core.figures import wallets_net
from ..core.money import Money
from .figures import Figures, figures_of
from .spans import read_days
from .sums import moved_by_day


@frozen(kw_only=True)
class Day(Figures):
    """Figures of one currency on one day of the seller.

    Attributes:
        day: Which.
        closing: All customers' balances at its end, debts included.
    """

    day: date
    closing: Money


def daily(context: Context, since: date, until: date, *, currency: str | None = None) -> tuple[Day, ...]:
    """Give the figures of one currency on each day of ``[since, until)``, also of days on which nothing moved.

    Args:
        context: The billing system.
        since: First day in the seller's zone.
        until: First day after; at most ten years later.
        currency: The book's default if None.

    Raises:
        InvalidRequest: Not days from 1970 on, in the wrong order, or too many.
        InvalidAmount: Not a currency code.
    """
    code, days = context.currency_or_default(currency), read_days(context, since, until)
    timezone = context.seller.timezone
    found = context.database.read(lambda tx: moved_by_day(tx, timezone, code, days=days))
    nets = (wallets_net(flows) for flows in found.on)
    closings = list(accumulate(nets, initial=wallets_net(found.before)))[1:]
    return tuple(
        Day(day=day, closing=Money(closing, code), **figures_of(flows, code))
        for day, flows, closing in zip(days.dates, found.on, closings, strict=True)
    )
