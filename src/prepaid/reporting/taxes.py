"""Tax by jurisdiction, rate and period: what the documents of some days bear, from their frozen decisions."""

from __future__ import annotations

from datetime import date, datetime

from ..config import Context
from ..core.errors import InvalidRequest
from ..store import tax_entries
from ..store.tax_entries import TaxSum

__all__ = ["TaxSum", "sum_taxes"]


def sum_taxes(context: Context, since: date, until: date) -> tuple[TaxSum, ...]:
    """Sum the taxes of documents issued in ``[since, until)``, one row for each tax, rate and currency.

    A sale with several components stands in a row of each, with the base that
    the component was applied to. A document without tax stands in a row
    without a name, under its treatment.

    Args:
        context: The billing system.
        since: First day, by the date that documents bear.
        until: First day after.

    Raises:
        InvalidRequest: Not dates, or in the wrong order.
    """
    for name, day in (("since", since), ("until", until)):
        if not isinstance(day, date) or isinstance(day, datetime):
            raise InvalidRequest(f"{name} is a date.", field=name)
    if until <= since:
        raise InvalidRequest("until is after since.", field="until")
    return tuple(context.database.read(lambda tx: list(tax_entries.sums(tx, since, until))))
