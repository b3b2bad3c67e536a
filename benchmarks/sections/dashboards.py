"""What an operator's first page costs at a million transfers: the cards of 30 days, and a bar for each day.

The sums by day are kept as the job keeps them; what was charged in the last hours
is beyond them, and read from the transfers.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Final

from prepaid import Charge, Money, Prepaid
from prepaid.system import SystemClock

from ..books import CURRENCY, HISTORY_DAYS, PRICE, customer_name, fill, open_billing, operator
from ..engines import Engine
from ..figures import Figure
from ..rounds import seconds
from ..stage import Stage, timed

CUSTOMERS: Final = 1_000
RECENT_HOURS: Final = 4
"""As old as a transfer may become before the job takes it in."""


def dashboard(stage: Stage, engine: Engine) -> list[Figure]:
    """Measure the page."""
    stage.note_engine(engine)
    url, transfers = stage.engines.new_url(engine), stage.size(1_000_000, 30_000)
    fill(url, customers=CUSTOMERS, charges=transfers - CUSTOMERS, tell=stage.tell)
    with closing(open_billing(url)) as billing:
        stage.tell("summing days")
        billing.run_due("rollups")
        recent = transfers * RECENT_HOURS // (24 * HISTORY_DAYS)
        _charge(billing, recent)
        return _read(stage, f"{engine}-dashboard", billing, note=f"{recent:,} transfers were beyond the sums by day")


def _charge(billing: Prepaid, count: int) -> None:
    price = Money.of(PRICE, CURRENCY)
    names = (customer_name(1 + number % CUSTOMERS) for number in range(count))
    billing.usage.charge_many([Charge(name, price, f"recent-{number}") for number, name in enumerate(names)])


def _read(stage: Stage, name: str, billing: Prepaid, *, note: str) -> list[Figure]:
    reports = operator(billing).reports
    today = SystemClock().now().date()
    since, until = today - timedelta(days=HISTORY_DAYS - 1), today + timedelta(days=1)

    def work() -> None:
        reports.summary(since, until, currency=CURRENCY)
        reports.daily(since, until, currency=CURRENCY)

    found = stage.in_turn({name: lambda: 1000 * seconds(work)}, rounds=25, warm_up=2, budget_s=20)[name]
    return [timed(name, found, unit="ms", note=note)]
