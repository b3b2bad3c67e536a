"""The operator's cards: what came in, what was used, what tax is owed.

Every figure is a sum over transfers, as published in the accounting page of the
docs; days are the seller's, and a fact counts on the day it was posted.
"""

from __future__ import annotations

from datetime import date, datetime

from attrs import frozen

from ..config import Context
from ..core.errors import InvalidRequest
from ..core.grants import PAID_KINDS
from ..core.money import Money
from ..store import Tx, flows
from .figures import Figures, figures_of
from .spans import Span, read_span
from .sums import moved


@frozen(kw_only=True)
class Summary(Figures):
    """Figures of one currency over a span of time, and what is owed to customers now.

    Attributes:
        since: First instant.
        until: First instant after.
        currency: ISO 4217 code.
        liability: Unspent credit of all customers, now.
        liability_paid: What of it was paid for, funded by another system or brought along.
        liability_promotional: What of it was given: promotional credit and goodwill.
        debts: Balances below zero of all customers, now; negative.
        previous: The same of the time of the same length before, if it was asked for; what is owed is that of now.
    """

    since: datetime
    until: datetime
    currency: str
    liability: Money
    liability_paid: Money
    liability_promotional: Money
    debts: Money
    previous: Summary | None = None


def summarise(
    context: Context, since: date, until: date, *, currency: str | None = None, compare: bool = False
) -> Summary:
    """Sum one currency over ``[since, until)``.

    Args:
        context: The billing system.
        since: First day in the seller's zone, or an aware instant.
        until: First day after, or an aware instant.
        currency: The book's default if None.
        compare: Sum the time of the same length before too: as many days if these are whole days.

    Raises:
        InvalidRequest: Not days or instants from 1970 on, in the wrong order, or
            nothing to compare with.
        InvalidAmount: Not a currency code.
    """
    code, span = context.currency_or_default(currency), read_span(context, since, until)
    if type(compare) is not bool:
        raise InvalidRequest("compare is True or False.", field="compare")
    before = span.before() if compare else None

    def work(tx: Tx) -> Summary:
        owed = _owed(tx, code)
        previous = None if before is None else _summary(tx, before, code, owed=owed, previous=None)
        return _summary(tx, span, code, owed=owed, previous=previous)

    return context.database.read(work)


def _summary(tx: Tx, span: Span, currency: str, *, owed: dict[str, Money], previous: Summary | None) -> Summary:
    found = moved(tx, span.timezone, currency, since=span.since, until=span.until)
    return Summary(
        since=span.since,
        until=span.until,
        currency=currency,
        previous=previous,
        **figures_of(found, currency),
        **owed,
    )


def _owed(tx: Tx, currency: str) -> dict[str, Money]:
    liability, debts = flows.liability(tx, currency)
    unspent = flows.unspent(tx, currency)
    paid = sum(units for kind, units in unspent.items() if kind in PAID_KINDS)
    owed = {
        "liability": liability,
        "liability_paid": paid,
        "liability_promotional": sum(unspent.values()) - paid,
        "debts": debts,
    }
    return {name: Money(units, currency) for name, units in owed.items()}
