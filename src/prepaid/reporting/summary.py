"""The operator's cards: what came in, what was used, what tax is owed.

Every figure is a sum over transfers, as published in the accounting page of the
docs; days are the seller's, and a fact counts on the day it was posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime

from attrs import frozen

from ..config import Context
from ..core.errors import InvalidRequest
from ..core.instants import check_instant, day_start
from ..core.money import Money
from ..core.transfers import AccountKind
from ..store import Tx, flows
from ..store.flows import Flow


@frozen(kw_only=True)
class Summary:
    """Figures of one currency over a span of time.

    Attributes:
        since: First instant.
        until: First instant after.
        currency: ISO 4217 code.
        funds_in: Money taken in for credited top-ups, tax included.
        credit_consumed: Usage charged, less reversals.
        tax_collected: Tax of credited top-ups.
        bonus_granted: Promotional credit given with top-ups.
        goodwill: Credit that operators gave away.
        vouchers: Credit of vouchers that were redeemed.
        in_review: Money that came in and waits in suspense.
        liability: Unspent credit of all customers, now.
        debts: Balances below zero of all customers, now; negative.
    """

    since: datetime
    until: datetime
    currency: str
    funds_in: Money
    credit_consumed: Money
    tax_collected: Money
    bonus_granted: Money
    goodwill: Money
    vouchers: Money
    in_review: Money
    liability: Money
    debts: Money


def summarise(context: Context, since: date, until: date, *, currency: str | None = None) -> Summary:
    """Sum one currency over ``[since, until)``.

    Args:
        context: The billing system.
        since: First day in the seller's zone, or an aware instant.
        until: First day after, or an aware instant.
        currency: The book's default if None.

    Raises:
        InvalidRequest: Not days or instants, or in the wrong order.
        InvalidAmount: Not a currency code.
    """
    code = context.currency_or_default(currency)
    first, after = _instant(context, since, "since"), _instant(context, until, "until")
    if after <= first:
        raise InvalidRequest("until is after since.", field="until")

    def facts(tx: Tx) -> tuple[list[Flow], tuple[int, int]]:
        return flows.flows(tx, code, first, after), flows.liability(tx, code)

    moved, (liability, debts) = context.database.read(facts)

    def money(units: int) -> Money:
        return Money(units, code)

    return Summary(
        since=first,
        until=after,
        currency=code,
        funds_in=money(_sum(moved, _is_funds_in)),
        credit_consumed=money(_net(moved, "revenue")),
        tax_collected=money(_net(moved, "tax_payable")),
        bonus_granted=money(_sum(moved, lambda flow: flow.kind == "bonus")),
        goodwill=money(_sum(moved, lambda flow: flow.kind == "goodwill")),
        vouchers=money(_sum(moved, lambda flow: flow.kind == "voucher")),
        in_review=money(_net(moved, "suspense")),
        liability=money(liability),
        debts=money(debts),
    )


def _instant(context: Context, value: object, field: str) -> datetime:
    if isinstance(value, datetime):
        return check_instant(value, field=field)
    if isinstance(value, date):
        if not date(1970, 1, 1) <= value <= date(9000, 1, 1):
            raise InvalidRequest(f"{field} is a day from 1970 on.", field=field)
        return day_start(value, context.seller.timezone)
    raise InvalidRequest(f"{field} is a date of the seller's zone or an aware datetime.", field=field)


def _is_funds_in(flow: Flow) -> bool:
    paid_from = flow.debit.kind in ("clearing", "suspense")
    return flow.kind == "topup" and paid_from and flow.credit.kind in ("wallet", "tax_payable")


def _sum(moved: Iterable[Flow], wanted: Callable[[Flow], bool]) -> int:
    return sum(flow.amount for flow in moved if wanted(flow))


def _net(moved: Iterable[Flow], kind: AccountKind) -> int:
    """Sum what an account sort received less what it gave."""
    return sum(flow.amount * ((flow.credit.kind == kind) - (flow.debit.kind == kind)) for flow in moved)
