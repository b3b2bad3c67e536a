"""The usage statement: what a span of time cost, by resource, project, day or kind."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from ..config import Context
from ..core.errors import InvalidRequest
from ..core.instants import check_instant, from_micros, local_day
from ..core.money import Money
from ..core.usage import UsageLine, UsageStatement
from ..store import Tx, accounts, statement
from ..store.statement import QUARTER_HOUR, Used

BY: Final = ("resource", "project", "day", "kind")


def usage(
    context: Context, customer_id: str, *, currency: str, since: datetime, until: datetime, by: str
) -> UsageStatement:
    """Sum a wallet's usage whose period ended in ``(since, until]``.

    Raises:
        InvalidRequest: Naive instants, in the wrong order, or another ``by``.
    """
    if by not in BY:
        raise InvalidRequest(f"by is one of {', '.join(BY)}.", field="by")
    first, last = check_instant(since, field="since"), check_instant(until, field="until")
    if last <= first:
        raise InvalidRequest("until is after since.", field="until")

    def work(tx: Tx) -> list[Used]:
        wallet = accounts.find_wallet(tx, customer_id, currency)
        return [] if wallet is None else statement.used(tx, wallet.id, first, last, by=by)

    rows = context.database.read(work)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        total = sums[_name(context, row)]
        total[0] += row.amount
        total[1] += row.charges
    lines = tuple(
        UsageLine(name=name, amount=Money(units, currency), charges=count)
        for name, (units, count) in sorted(sums.items())
    )
    total_units = sum(line.amount.units for line in lines)
    return UsageStatement(since=first, until=last, by=by, lines=lines, total=Money(total_units, currency))


def _name(context: Context, row: Used) -> str:
    if isinstance(row.name, str):
        return row.name
    if row.name is None:
        return ""
    return local_day(from_micros(int(row.name) * QUARTER_HOUR), context.seller.timezone).isoformat()
